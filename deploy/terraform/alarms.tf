# What the servers on both sides say of themselves. Tailwater's own alerts are in ../prometheus; these tell the same story from the
# other end: a source whose disk fills with binlogs because nobody reads them, a cluster that no merge can get into.

locals {
  sources = toset(var.rds_instances)
  actions = { alarm = var.alarm_actions, ok = var.alarm_actions }
}

# A long outage of Tailwater is what keeps binlogs; a full disk stops the source.
resource "aws_cloudwatch_metric_alarm" "source_storage" {
  for_each = local.sources

  alarm_name          = "${var.name}-${each.key}-storage"
  alarm_description   = "The source ${each.key} runs out of disk. See BinLogDiskUsage: binlogs are kept for as long as the retention says, read or not."
  namespace           = "AWS/RDS"
  metric_name         = "FreeStorageSpace"
  dimensions          = { DBInstanceIdentifier = each.key }
  statistic           = "Minimum"
  comparison_operator = "LessThanThreshold"
  threshold           = var.source_free_bytes_min
  period              = 300
  evaluation_periods  = 3
  # Aurora has no such metric.
  treat_missing_data = "notBreaching"
  alarm_actions      = local.actions.alarm
  ok_actions         = local.actions.ok
  tags               = var.tags
}

resource "aws_cloudwatch_metric_alarm" "source_binlogs" {
  for_each = local.sources

  alarm_name          = "${var.name}-${each.key}-binlogs"
  alarm_description   = "The source ${each.key} holds unusually many binlogs: a long retention, or a burst of writes."
  namespace           = "AWS/RDS"
  metric_name         = "BinLogDiskUsage"
  dimensions          = { DBInstanceIdentifier = each.key }
  statistic           = "Maximum"
  comparison_operator = "GreaterThanThreshold"
  threshold           = var.source_binlog_bytes_max
  period              = 300
  evaluation_periods  = 3
  treat_missing_data  = "notBreaching"
  alarm_actions       = local.actions.alarm
  ok_actions          = local.actions.ok
  tags                = var.tags
}

resource "aws_cloudwatch_metric_alarm" "redshift_disk" {
  count = var.redshift_cluster == "" ? 0 : 1

  alarm_name          = "${var.name}-redshift-disk"
  alarm_description   = "The cluster's disks are nearly full; merges fail and are tried again until there is room. Extraction goes on."
  namespace           = "AWS/Redshift"
  metric_name         = "PercentageDiskSpaceUsed"
  dimensions          = { ClusterIdentifier = var.redshift_cluster }
  statistic           = "Maximum"
  comparison_operator = "GreaterThanThreshold"
  threshold           = 85
  period              = 300
  evaluation_periods  = 3
  treat_missing_data  = "missing"
  alarm_actions       = local.actions.alarm
  ok_actions          = local.actions.ok
  tags                = var.tags
}

resource "aws_cloudwatch_metric_alarm" "redshift_health" {
  count = var.redshift_cluster == "" ? 0 : 1

  alarm_name          = "${var.name}-redshift-health"
  alarm_description   = "The cluster is not healthy. The lake keeps what it cannot take."
  namespace           = "AWS/Redshift"
  metric_name         = "HealthStatus"
  dimensions          = { ClusterIdentifier = var.redshift_cluster }
  statistic           = "Minimum"
  comparison_operator = "LessThanThreshold"
  threshold           = 1
  period              = 60
  evaluation_periods  = 5
  treat_missing_data  = "breaching"
  alarm_actions       = local.actions.alarm
  ok_actions          = local.actions.ok
  tags                = var.tags
}

# Log entries that stop altogether: the bucket's own count of writes, for those who have no Prometheus at hand. A flush interval
# makes an entry per shard while it is written to, and heartbeats advance its position while it is not.
resource "aws_s3_bucket_metric" "lake" {
  count = var.request_metrics ? 1 : 0

  bucket = aws_s3_bucket.lake.id
  name   = "log"

  filter {
    prefix = "${var.prefix}/"
  }
}

resource "aws_cloudwatch_metric_alarm" "lake_silent" {
  count = var.request_metrics ? 1 : 0

  alarm_name          = "${var.name}-lake-silent"
  alarm_description   = "Nothing was written to the lake for half an hour: no extractor of any shard is at work."
  namespace           = "AWS/S3"
  metric_name         = "PutRequests"
  dimensions          = { BucketName = aws_s3_bucket.lake.id, FilterId = "log" }
  statistic           = "Sum"
  comparison_operator = "LessThanThreshold"
  threshold           = 1
  period              = 300
  evaluation_periods  = 6
  treat_missing_data  = "breaching"
  alarm_actions       = local.actions.alarm
  ok_actions          = local.actions.ok
  tags                = var.tags
}

resource "aws_cloudwatch_metric_alarm" "lake_refused" {
  count = var.request_metrics ? 1 : 0

  alarm_name          = "${var.name}-lake-errors"
  alarm_description   = "S3 answers the lake with server errors; requests are tried again, and sessions after them."
  namespace           = "AWS/S3"
  metric_name         = "5xxErrors"
  dimensions          = { BucketName = aws_s3_bucket.lake.id, FilterId = "log" }
  statistic           = "Sum"
  comparison_operator = "GreaterThanThreshold"
  threshold           = 50
  period              = 300
  evaluation_periods  = 3
  treat_missing_data  = "notBreaching"
  alarm_actions       = local.actions.alarm
  ok_actions          = local.actions.ok
  tags                = var.tags
}
