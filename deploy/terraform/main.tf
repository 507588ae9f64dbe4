# The lake's bucket, the role that Tailwater's pods or machines have, and alarms on what CloudWatch knows of the servers on both
# sides. What Redshift needs beyond it is in ../redshift/terraform. The lake's policy is the JSON file of ../redshift/iam: there
# is one text of each policy.

data "aws_partition" "current" {}

locals {
  partition = data.aws_partition.current.partition

  lake_policy = templatefile("${path.module}/../redshift/iam/tailwater-lake-policy.json", {
    partition = local.partition
    bucket    = var.bucket
    prefix    = var.prefix
  })

  # "oidc.eks.eu-west-1.amazonaws.com/id/ABC" of "arn:aws:iam::123456789012:oidc-provider/oidc.eks…": what conditions are named by.
  oidc_issuer = var.oidc_provider_arn == "" ? "" : split("oidc-provider/", var.oidc_provider_arn)[1]
}

# --- The lake

resource "aws_s3_bucket" "lake" {
  bucket = var.bucket
  # The lake is the only copy of what was read and not applied yet: `terraform destroy` must not take it along.
  force_destroy = false
  tags          = var.tags

  lifecycle {
    prevent_destroy = true
  }
}

resource "aws_s3_bucket_public_access_block" "lake" {
  bucket                  = aws_s3_bucket.lake.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_ownership_controls" "lake" {
  bucket = aws_s3_bucket.lake.id

  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "lake" {
  bucket = aws_s3_bucket.lake.id

  rule {
    bucket_key_enabled = var.kms_key_arn != ""

    apply_server_side_encryption_by_default {
      sse_algorithm     = var.kms_key_arn == "" ? "AES256" : "aws:kms"
      kms_master_key_id = var.kms_key_arn == "" ? null : var.kms_key_arn
    }
  }
}

# Nothing of Tailwater ever overwrites a file or an entry, so versions cost next to nothing; they undo a deletion by hand.
resource "aws_s3_bucket_versioning" "lake" {
  bucket = aws_s3_bucket.lake.id

  versioning_configuration {
    status = "Enabled"
  }
}

# Only what is no part of the lake: never a rule that expires current objects, which may not have been applied yet.
resource "aws_s3_bucket_lifecycle_configuration" "lake" {
  bucket = aws_s3_bucket.lake.id

  rule {
    id     = "leftovers"
    status = "Enabled"

    filter {
      prefix = "${var.prefix}/"
    }

    noncurrent_version_expiration {
      noncurrent_days = var.noncurrent_days
    }

    abort_incomplete_multipart_upload {
      days_after_initiation = 1
    }
  }

  depends_on = [aws_s3_bucket_versioning.lake]
}

# --- The role

data "aws_iam_policy_document" "trust" {
  dynamic "statement" {
    for_each = var.oidc_provider_arn == "" ? [] : [var.oidc_provider_arn]

    content {
      sid     = "ServiceAccount"
      actions = ["sts:AssumeRoleWithWebIdentity"]

      principals {
        type        = "Federated"
        identifiers = [statement.value]
      }

      condition {
        test     = "StringEquals"
        variable = "${local.oidc_issuer}:sub"
        values   = ["system:serviceaccount:${var.namespace}:${var.service_account}"]
      }

      condition {
        test     = "StringEquals"
        variable = "${local.oidc_issuer}:aud"
        values   = ["sts.amazonaws.com"]
      }
    }
  }

  dynamic "statement" {
    for_each = length(var.trusted_services) == 0 ? [] : [var.trusted_services]

    content {
      sid     = "Machines"
      actions = ["sts:AssumeRole"]

      principals {
        type        = "Service"
        identifiers = statement.value
      }
    }
  }
}

resource "aws_iam_role" "tailwater" {
  name               = var.name
  description        = "Tailwater reads and writes its lake"
  assume_role_policy = data.aws_iam_policy_document.trust.json
  tags               = var.tags

  lifecycle {
    precondition {
      condition     = var.oidc_provider_arn != "" || length(var.trusted_services) > 0
      error_message = "Nobody could take the role: set oidc_provider_arn or trusted_services."
    }
  }
}

resource "aws_iam_role_policy" "lake" {
  name   = "lake"
  role   = aws_iam_role.tailwater.id
  policy = local.lake_policy
}

data "aws_iam_policy_document" "key" {
  count = var.kms_key_arn == "" ? 0 : 1

  statement {
    sid       = "LakeKey"
    actions   = ["kms:Decrypt", "kms:GenerateDataKey"]
    resources = [var.kms_key_arn]
  }
}

resource "aws_iam_role_policy" "key" {
  count = var.kms_key_arn == "" ? 0 : 1

  name   = "key"
  role   = aws_iam_role.tailwater.id
  policy = data.aws_iam_policy_document.key[0].json
}
