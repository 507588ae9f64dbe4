variable "bucket" {
  description = "Name of the lake's bucket, in the cluster's region. It must exist."
  type        = string
}

variable "prefix" {
  description = "Prefix of the lake inside of the bucket, without slashes at its ends: the path of lake.url."
  type        = string

  validation {
    condition     = length(var.prefix) > 0 && trimprefix(trimsuffix(var.prefix, "/"), "/") == var.prefix
    error_message = "The prefix is not empty and has no slashes at its ends."
  }
}

variable "name" {
  description = "Beginning of the names of roles and policies."
  type        = string
  default     = "tailwater"
}

variable "tailwater_role" {
  description = "Name of the role that Tailwater's machines or pods have. Its policies are attached to it. Empty: none are attached."
  type        = string
  default     = ""
}

variable "login" {
  description = "How Tailwater logs in: \"password\", \"provisioned\" (temporary passwords of a cluster) or \"serverless\" (of a workgroup)."
  type        = string
  default     = "password"

  validation {
    condition     = contains(["password", "provisioned", "serverless"], var.login)
    error_message = "The login is one of password, provisioned and serverless."
  }
}

variable "data_api" {
  description = "Whether Tailwater speaks to Redshift through the Data API."
  type        = bool
  default     = false
}

variable "cluster" {
  description = "Identifier of the provisioned cluster, for temporary passwords and the Data API."
  type        = string
  default     = ""
}

variable "workgroup_id" {
  description = "UUID of the serverless workgroup (not its name), for temporary passwords and the Data API."
  type        = string
  default     = ""
}

variable "database" {
  description = "Database of the targets."
  type        = string
  default     = "dev"
}

variable "db_user" {
  description = "Database user that Tailwater logs in as, for temporary passwords of a cluster."
  type        = string
  default     = "tailwater"
}

variable "manage_bucket_policy" {
  description = "Whether to replace the bucket's policy. A bucket has only one: leave it false where it has statements of its own."
  type        = bool
  default     = false
}

variable "tags" {
  description = "Tags of the role."
  type        = map(string)
  default     = {}
}
