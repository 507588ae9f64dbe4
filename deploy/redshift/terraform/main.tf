# What Redshift needs to read the lake, and what Tailwater needs to write it and to log in. The policies are the JSON files
# of ../iam, filled in: there is one text of each.

data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

data "aws_region" "current" {}

locals {
  account   = data.aws_caller_identity.current.account_id
  partition = data.aws_partition.current.partition
  region    = data.aws_region.current.name
  copy_role = "${var.name}-copy"

  cluster_arn   = "arn:${local.partition}:redshift:${local.region}:${local.account}:cluster:${var.cluster}"
  workgroup_arn = "arn:${local.partition}:redshift-serverless:${local.region}:${local.account}:workgroup/${var.workgroup_id}"

  values = {
    account           = local.account
    partition         = local.partition
    region            = local.region
    bucket            = var.bucket
    prefix            = var.prefix
    cluster           = var.cluster
    database          = var.database
    db_user           = var.db_user
    workgroup_id      = var.workgroup_id
    data_api_resource = var.workgroup_id == "" ? local.cluster_arn : local.workgroup_arn
    copy_role_arn     = "arn:${local.partition}:iam::${local.account}:role/${local.copy_role}"
  }

  login_policies = {
    password    = {}
    provisioned = { login = "tailwater-login-provisioned-policy.json" }
    serverless  = { login = "tailwater-login-serverless-policy.json" }
  }

  tailwater_policies = merge(
    { lake = "tailwater-lake-policy.json" },
    local.login_policies[var.login],
    var.data_api ? { data-api = "tailwater-data-api-policy.json" } : {},
  )
}

# The role that COPY names (iam_role). Attach it to the cluster or to the serverless namespace, for example:
#   aws redshift modify-cluster-iam-roles --cluster-identifier ID --add-iam-roles ARN
#   aws redshift-serverless update-namespace --namespace-name NAME --iam-roles ARN
resource "aws_iam_role" "copy" {
  name               = local.copy_role
  description        = "Redshift reads Tailwater's lake"
  assume_role_policy = templatefile("${path.module}/../iam/copy-trust.json", local.values)
  tags               = var.tags
}

resource "aws_iam_role_policy" "copy" {
  name   = "lake"
  role   = aws_iam_role.copy.id
  policy = templatefile("${path.module}/../iam/copy-policy.json", local.values)
}

resource "aws_iam_policy" "tailwater" {
  for_each = local.tailwater_policies

  name   = "${var.name}-${each.key}"
  policy = templatefile("${path.module}/../iam/${each.value}", local.values)
}

resource "aws_iam_role_policy_attachment" "tailwater" {
  for_each = var.tailwater_role == "" ? {} : local.tailwater_policies

  role       = var.tailwater_role
  policy_arn = aws_iam_policy.tailwater[each.key].arn
}

resource "aws_s3_bucket_policy" "lake" {
  count = var.manage_bucket_policy ? 1 : 0

  bucket = var.bucket
  policy = templatefile("${path.module}/../iam/bucket-policy.json", local.values)

  depends_on = [aws_iam_role.copy]
}
