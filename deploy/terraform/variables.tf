variable "bucket" {
  description = "Name of the lake's bucket, which is created. With Redshift, in the cluster's region."
  type        = string
}

variable "prefix" {
  description = "Prefix of the lake inside of the bucket, without slashes at its ends: the path of lake.url."
  type        = string
  default     = "tailwater"

  validation {
    condition     = length(var.prefix) > 0 && trimprefix(trimsuffix(var.prefix, "/"), "/") == var.prefix
    error_message = "The prefix is not empty and has no slashes at its ends."
  }
}

variable "name" {
  description = "Name of the role, and beginning of the alarms' names."
  type        = string
  default     = "tailwater"
}

variable "oidc_provider_arn" {
  description = "ARN of the EKS cluster's OIDC provider, for pods (IRSA). Empty: pods cannot take the role."
  type        = string
  default     = ""
}

variable "namespace" {
  description = "Namespace of the Helm release."
  type        = string
  default     = "tailwater"
}

variable "service_account" {
  description = "Service account of the Helm release: its name, unless serviceAccount.name says otherwise."
  type        = string
  default     = "tailwater"
}

variable "trusted_services" {
  description = "Services whose machines may take the role, such as [\"ec2.amazonaws.com\"] or [\"ecs-tasks.amazonaws.com\"]."
  type        = list(string)
  default     = []
}

variable "kms_key_arn" {
  description = "Key that the bucket is encrypted with. Empty: S3's own. Redshift's role needs kms:Decrypt on it, too."
  type        = string
  default     = ""
}

variable "noncurrent_days" {
  description = "Days for which a deleted object can be brought back."
  type        = number
  default     = 14
}

variable "rds_instances" {
  description = "Identifiers of the source instances to watch."
  type        = list(string)
  default     = []
}

variable "source_free_bytes_min" {
  description = "Free disk of a source, below which there is an alarm."
  type        = number
  default     = 10737418240
}

variable "source_binlog_bytes_max" {
  description = "Bytes of binlogs on a source, above which there is an alarm."
  type        = number
  default     = 107374182400
}

variable "redshift_cluster" {
  description = "Identifier of the provisioned cluster to watch. Empty: none."
  type        = string
  default     = ""
}

variable "request_metrics" {
  description = "Whether to count the lake's requests in CloudWatch (billed as custom metrics), with alarms on silence and errors."
  type        = bool
  default     = false
}

variable "alarm_actions" {
  description = "ARNs that alarms and their ends are sent to, such as an SNS topic."
  type        = list(string)
  default     = []
}

variable "tags" {
  description = "Tags of everything."
  type        = map(string)
  default     = {}
}
