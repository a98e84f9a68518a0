"""The object store as the control plane sees it: a folder or an S3 prefix."""
