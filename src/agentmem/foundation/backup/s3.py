"""Backups in a bucket of S3, or of what speaks as it does. Everything here blocks."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import BinaryIO, Protocol

from agentmem.errors import ConfigurationError, NotFound, Unavailable

try:
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

    _INSTALLED = True
except ModuleNotFoundError:  # the extra is not installed: said when a bucket is named
    _INSTALLED = False


class _Body(Protocol):
    def read(self, amount: int | None = None) -> bytes: ...
    def close(self) -> None: ...


class _S3Client(Protocol):
    """What is used of boto3's client, which publishes no types."""

    def upload_fileobj(self, file: BinaryIO, bucket: str, key: str) -> None: ...
    def get_object(self, *, Bucket: str, Key: str) -> Mapping[str, _Body]: ...  # noqa: N803
    def delete_object(self, *, Bucket: str, Key: str) -> object: ...  # noqa: N803
    def list_objects_v2(self, **asked: str) -> Mapping[str, object]: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class S3Storage:
    """Objects of a bucket, below a prefix."""

    bucket: str
    prefix: str
    client: _S3Client = field(repr=False)

    @classmethod
    def open(cls, bucket: str, prefix: str, endpoint: str | None) -> S3Storage:
        """Prepare the client; credentials and region are found as boto3 finds them."""
        if not _INSTALLED:
            raise ConfigurationError(
                "Backups in a bucket need the package boto3, which is not installed.",
                hint='Install it with: pip install "agentmem[aws]"',
            )
        return cls(bucket=bucket, prefix=prefix, client=boto3.session.Session().client("s3", endpoint_url=endpoint))

    @contextmanager
    def writing(self, name: str) -> Iterator[BinaryIO]:
        """Write an object, part by part; it is there when this has ended, and not if it was broken off."""
        failures: list[BaseException] = []
        source, sink = os.pipe()
        pulled = _Broken(os.fdopen(source, "rb"))

        def upload() -> None:
            try:
                self.client.upload_fileobj(pulled, self.bucket, self._key(name))  # type: ignore[arg-type]  # it reads
            except (BotoCoreError, ClientError, OSError) as error:
                failures.append(error)
            finally:
                pulled.close()

        uploading = threading.Thread(target=upload, name="backup-upload")
        uploading.start()
        try:
            with os.fdopen(sink, "wb") as file:
                try:
                    yield file
                except BaseException:
                    pulled.broken = True
                    raise
        finally:
            uploading.join()
        if failures:
            raise self._failed(failures[0])

    @contextmanager
    def reading(self, name: str) -> Iterator[BinaryIO]:
        """Read an object."""
        try:
            body = self.client.get_object(Bucket=self.bucket, Key=self._key(name))["Body"]
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") in {"NoSuchKey", "404"}:
                raise NotFound(f"There is no object {self._key(name)} in {self.bucket}.") from None
            raise self._failed(error) from None
        try:
            yield body  # type: ignore[misc]  # it reads
        finally:
            body.close()

    def names(self) -> list[str]:
        """Name every object below the prefix."""
        found: list[str] = []
        asked = {"Bucket": self.bucket, "Prefix": self._key("")}
        while True:
            try:
                page = self.client.list_objects_v2(**asked)
            except (BotoCoreError, ClientError) as error:
                raise self._failed(error) from None
            contents = page.get("Contents", [])
            if isinstance(contents, list):
                found += [str(item["Key"]).removeprefix(self._key("")) for item in contents]
            if not page.get("IsTruncated"):
                return sorted(found)
            asked["ContinuationToken"] = str(page["NextContinuationToken"])

    def remove(self, name: str) -> None:
        """Remove an object."""
        try:
            self.client.delete_object(Bucket=self.bucket, Key=self._key(name))
        except (BotoCoreError, ClientError) as error:
            raise self._failed(error) from None

    def _key(self, name: str) -> str:
        return f"{self.prefix}/{name}" if self.prefix else name

    def _failed(self, error: BaseException) -> Unavailable:
        return Unavailable(f"The bucket {self.bucket} could not be used ({type(error).__name__}).")


class _Broken:
    """Reads a pipe; raises at its end if whoever wrote to it broke off, so that half an object is none."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.broken = False

    def read(self, amount: int = -1) -> bytes:
        """Read so many bytes, or all."""
        data = self._file.read(amount)
        if not data and self.broken:
            raise OSError("the backup was broken off")
        return data

    def close(self) -> None:
        """Let go of the pipe."""
        self._file.close()
