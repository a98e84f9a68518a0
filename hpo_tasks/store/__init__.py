"""The object store as the control plane sees it: a folder or an S3 prefix."""

from hpo_tasks.store.base import Store, open_store

__all__ = ["Store", "open_store"]
