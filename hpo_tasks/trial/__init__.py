"""What runs inside a job, and the wire contract with it. Standard library only (boto3 for s3:// alone)."""
