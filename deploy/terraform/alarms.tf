# What the servers on both sides say of themselves. Tailwater's own alerts are in ../prometheus; these tell the same story from the
# other end: a source whose disk fills with binlogs because nobody reads them, a cluster that no merge can get into.

locals {
  # A long outage of Tailwater is what keeps binlogs; a full disk stops the source.
  source_alarms = merge([for instance in var.rds_instances : {
    "${instance}-storage" = {
      description        = "The source ${instance} runs out of disk. See BinLogDiskUsage: binlogs are kept for as long as the retention says, read or not."
      namespace          = "AWS/RDS"
      metric_name        = "FreeStorageSpace"
      dimensions         = { DBInstanceIdentifier = instance }
      statistic          = "Minimum"
      comparison         = "LessThanThreshold"
      threshold          = var.source_free_bytes_min
      period             = 300
      evaluation_periods = 3
      # Aurora has no such metric.
      missing = "notBreaching"
    }
    "${instance}-binlogs" = {
      description        = "The source ${instance} holds unusually many binlogs: a long retention, or a burst of writes."
      namespace          = "AWS/RDS"
      metric_name        = "BinLogDiskUsage"
      dimensions         = { DBInstanceIdentifier = instance }
      statistic          = "Maximum"
      comparison         = "GreaterThanThreshold"
      threshold          = var.source_binlog_bytes_max
      period             = 300
      evaluation_periods = 3
      missing            = "notBreaching"
    }
  }]...)

  redshift_alarms = {
    "redshift-disk" = {
      description        = "The cluster's disks are nearly full; merges fail and are tried again until there is room. Extraction goes on."
      namespace          = "AWS/Redshift"
      metric_name        = "PercentageDiskSpaceUsed"
      dimensions         = { ClusterIdentifier = var.redshift_cluster }
      statistic          = "Maximum"
      comparison         = "GreaterThanThreshold"
      threshold          = 85
      period             = 300
      evaluation_periods = 3
      missing            = "missing"
    }
    "redshift-health" = {
      description        = "The cluster is not healthy. The lake keeps what it cannot take."
      namespace          = "AWS/Redshift"
      metric_name        = "HealthStatus"
      dimensions         = { ClusterIdentifier = var.redshift_cluster }
      statistic          = "Minimum"
      comparison         = "LessThanThreshold"
      threshold          = 1
      period             = 60
      evaluation_periods = 5
      missing            = "breaching"
    }
  }

  # Log entries that stop altogether: the bucket's own count of writes, for those who have no Prometheus at hand. A flush interval
  # makes an entry per shard while it is written to, and heartbeats advance its position while it is not.
  lake_alarms = {
    "lake-silent" = {
      description        = "Nothing was written to the lake for half an hour: no extractor of any shard is at work."
      namespace          = "AWS/S3"
      metric_name        = "PutRequests"
      dimensions         = { BucketName = aws_s3_bucket.lake.id, FilterId = "log" }
      statistic          = "Sum"
      comparison         = "LessThanThreshold"
      threshold          = 1
      period             = 300
      evaluation_periods = 6
      missing            = "breaching"
    }
    "lake-errors" = {
      description        = "S3 answers the lake with server errors; requests are tried again, and sessions after them."
      namespace          = "AWS/S3"
      metric_name        = "5xxErrors"
      dimensions         = { BucketName = aws_s3_bucket.lake.id, FilterId = "log" }
      statistic          = "Sum"
      comparison         = "GreaterThanThreshold"
      threshold          = 50
      period             = 300
      evaluation_periods = 3
      missing            = "notBreaching"
    }
  }

  alarms = merge(
    local.source_alarms,
    { for name, alarm in local.redshift_alarms : name => alarm if var.redshift_cluster != "" },
    { for name, alarm in local.lake_alarms : name => alarm if var.request_metrics },
  )
}

resource "aws_cloudwatch_metric_alarm" "alarm" {
  for_each = local.alarms

  alarm_name          = "${var.name}-${each.key}"
  alarm_description   = each.value.description
  namespace           = each.value.namespace
  metric_name         = each.value.metric_name
  dimensions          = each.value.dimensions
  statistic           = each.value.statistic
  comparison_operator = each.value.comparison
  threshold           = each.value.threshold
  period              = each.value.period
  evaluation_periods  = each.value.evaluation_periods
  treat_missing_data  = each.value.missing
  alarm_actions       = var.alarm_actions
  ok_actions          = var.alarm_actions
  tags                = var.tags
}

resource "aws_s3_bucket_metric" "lake" {
  count = var.request_metrics ? 1 : 0

  bucket = aws_s3_bucket.lake.id
  name   = "log"

  filter {
    prefix = "${var.prefix}/"
  }
}
