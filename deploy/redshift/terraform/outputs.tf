output "iam_role" {
  description = "ARN for iam_role of [warehouse.redshift]. The role has to be attached to the cluster or namespace."
  value       = aws_iam_role.copy.arn
}

output "tailwater_policy_arns" {
  description = "Policies that the identity of Tailwater's processes needs."
  value       = { for name, policy in aws_iam_policy.tailwater : name => policy.arn }
}
