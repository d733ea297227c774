"""The object store: any S3, through the `minio` client. `Objects` is synchronous; `ObjectStore` runs it in threads."""

from common.objects.client import Objects
from common.objects.files import attachment, media_type_of
from common.objects.paths import ObjectInfo, S3Path, Stored, Unfinished
from common.objects.store import ObjectStore

__all__ = ["ObjectInfo", "ObjectStore", "Objects", "S3Path", "Stored", "Unfinished", "attachment", "media_type_of"]
