output "lake_url" {
  description = "For lake.url."
  value       = "s3://${aws_s3_bucket.lake.id}/${var.prefix}"
}

output "role_arn" {
  description = "For serviceAccount.annotations[\"eks.amazonaws.com/role-arn\"] of the chart."
  value       = aws_iam_role.tailwater.arn
}

output "role_name" {
  description = "For tailwater_role of ../redshift/terraform."
  value       = aws_iam_role.tailwater.name
}
