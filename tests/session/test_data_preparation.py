"""Data sets from folders, archives, and servers on this computer that are intact, odd or hostile."""

import contextlib
import gzip
import hashlib
import threading
from dataclasses import replace

import pytest

from ganforge.builtin.datasets.remote_datasets import MNIST, RemoteDataset, RemoteFile, find_files, have_right_sizes
from ganforge.core.errors import DataError, StorageError, UsageError
from ganforge.registry.plugin_loader import load_plugins
from ganforge.session.data_preparation import find_dataset, prepare_data

ARCHIVE = b"an archive"
CONTENT = {"images": b"pixels" * 100, "labels": b"0123"}


def nothing_left(data):
    return not data.exists() or list(data.iterdir()) == []


def test_a_folder_is_copied_as_it_is_packed(prepare, source, data):
    done, messages = prepare(source)
    assert (done.folder, done.changed) == (data / "tiny", True)
    assert {path.name: path.read_bytes() for path in done.folder.iterdir()} == {
        path.name: path.read_bytes() for path in source.iterdir()
    }
    assert [(name, total) for name, _, total in messages] == [
        ("images.gz", (source / "images.gz").stat().st_size),
        ("labels", 4),
    ]
    assert [path.name for path in data.iterdir()] == ["tiny"]


def _written(file):
    """When and where a file was written; that it is read changes the time of access only."""
    facts = file.stat()
    return facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns


def test_what_is_here_is_left_alone(prepare, source, data, tmp_path):
    prepare(source)
    before = _written(data / "tiny" / "labels")
    done, _ = prepare()
    assert (done.folder, done.changed) == (data / "tiny", False)
    assert _written(data / "tiny" / "labels") == before

    source.rename(tmp_path / "system")
    (data / "tiny" / "labels").unlink()
    assert prepare()[0].folder == tmp_path / "system"


def test_the_users_cache_is_looked_at_after_the_folder_that_is_named(prepare, source, tmp_path):
    source.rename(tmp_path / "tiny")
    assert prepare(others=[tmp_path])[0].folder == tmp_path / "tiny"


def test_a_damaged_one_is_mended(prepare, source, data):
    prepare(source)
    (data / "tiny" / "images.gz").rename(data / "tiny" / "images")  # gzip under the plain name is fine, …
    assert not prepare(source)[0].changed
    (data / "tiny" / "images").write_bytes(b"other")  # … other content is not
    assert prepare(source)[0].changed
    assert sorted(path.name for path in (data / "tiny").iterdir()) == ["images.gz", "labels"]


def test_a_damaged_one_that_hides_a_sound_one_is_mended_from_it(prepare, source, data, tmp_path):
    prepare(source)
    (data / "tiny" / "labels").write_bytes(b"9999")
    source.rename(tmp_path / "system")
    done, _ = prepare()
    assert (done.folder, done.changed) == (data / "tiny", True)
    assert (data / "tiny" / "labels").read_bytes() == CONTENT["labels"]
    assert not prepare()[0].changed


def test_a_damaged_one_is_not_taken_for_another_that_no_run_reads(prepare, source, data, known):
    prepare(source)
    (data / "tiny" / "labels").write_bytes(b"9999")
    with pytest.raises(DataError, match="tiny could not be downloaded"):
        prepare()
    assert (data / "tiny" / "labels").read_bytes() == b"9999"


def test_a_damaged_archive_makes_room_for_files(prepare, source, data, known):
    (data / "tiny").mkdir(parents=True)
    (data / "tiny" / "all.tar.gz").write_bytes(b"damaged")
    (data / "tiny" / "labels").write_bytes(b"9999")
    (data / "tiny" / "notes.txt").write_text("mine")
    assert prepare(source)[0].changed
    assert sorted(path.name for path in (data / "tiny").iterdir()) == ["images.gz", "labels", "notes.txt"]
    assert [path.name for path in data.iterdir()] == ["tiny"]


def test_of_a_link_only_the_link_is_replaced(prepare, source, data, tmp_path):
    linked = tmp_path / "linked"
    linked.mkdir()
    (linked / "images").write_bytes(b"damaged")
    data.mkdir()
    (data / "tiny").symlink_to(linked)
    assert prepare(source)[0].changed
    assert not (data / "tiny").is_symlink()
    assert (linked / "images").read_bytes() == b"damaged"
    assert [path.name for path in data.iterdir()] == ["tiny"]


def test_a_file_of_the_folders_name_is_not_touched(prepare, source, data):
    data.mkdir()
    (data / "tiny").write_text("mine")
    with pytest.raises(StorageError, match="cannot write"):
        prepare(source)
    assert [path.name for path in data.iterdir()] == ["tiny"]


def test_nowhere_is_no_source(prepare, data):
    for source in ("", " "):
        with pytest.raises(UsageError, match="--from is empty"):
            prepare(source)
    assert nothing_left(data)


def test_an_archive_is_taken_by_its_content(prepare, tmp_path, data):
    (tmp_path / "renamed.bin").write_bytes(ARCHIVE)
    prepare(tmp_path / "renamed.bin")
    assert (data / "tiny" / "all.tar.gz").read_bytes() == ARCHIVE


@pytest.mark.parametrize(
    ("damage", "messages"),
    [
        (lambda folder: (folder / "labels").unlink(), "lacks labels"),
        (lambda folder: (folder / "labels").write_bytes(b"0124"), "labels: is not labels of tiny: its checksum is sha256:"),
        (lambda folder: (folder / "images.gz").write_bytes(gzip.compress(b"x")[:-4]), "images.gz: damaged gzip"),
        (lambda folder: [path.unlink() for path in folder.iterdir()], "lacks the files of tiny"),
    ],
)
def test_a_wrong_folder_changes_nothing(prepare, source, data, damage, messages):
    damage(source)
    with pytest.raises(DataError) as caught:
        prepare(source)
    assert str(source) in caught.value.message
    assert messages in caught.value.message
    assert caught.value.remedy
    assert nothing_left(data)


def test_a_folder_that_is_not_there(prepare, tmp_path, data):
    with pytest.raises(DataError, match="there is no folder"):
        prepare(tmp_path / "nowhere")
    assert nothing_left(data)


def test_a_data_folder_that_cannot_be_written(known, source, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError) as caught:
        prepare_data(known, str(source), (tmp_path / "file",), lambda *words: None)
    assert "GANFORGE_DATA" in caught.value.remedy


@pytest.mark.parametrize("name", ["mnist", "stacked-mnist", "ganforge/mnist@1"])
def test_a_data_set_is_named_as_in_a_recipe(name):
    assert find_dataset(name, load_plugins()) is MNIST


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mnsit", r"no dataset named 'mnsit' \(did you mean 'mnist'\?"),
        ("moons", r"'moons' needs no preparation \(only mnist, .* do; `ganforge describe dataset moons` shows"),
        ("image-folder", "'image-folder' needs no preparation"),
        ("ganforge/digits", "'ganforge/digits' needs no preparation"),
    ],
)
def test_a_data_set_that_cannot_be_prepared(name, message):
    with pytest.raises(UsageError, match=message):
        find_dataset(name, load_plugins())


def test_ctrl_c_under_way_leaves_nothing(prepare, source, data, known):
    def messages(*words):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare_data(known, str(source), (data,), messages)
    assert nothing_left(data)


def test_a_replacement_that_is_killed_halfway_is_noticed(prepare, source, data, known, monkeypatch):
    """Whatever was written, a run compares the checksum of what it reads, and the next preparation mends it."""
    (data / "tiny").mkdir(parents=True)
    (data / "tiny" / "images").write_bytes(b"damaged")
    (data / "tiny" / "labels").write_bytes(b"9999")

    def killed(path, content, written=[]):  # noqa: B006 - one list for all calls
        if written:
            raise KeyboardInterrupt
        written.append(path.write_bytes(content))

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr("ganforge.session.data_preparation.write_bytes", killed)
        prepare(source)
    images, labels = find_files(known, data / "tiny")
    with pytest.raises(DataError, match="is not the file of tiny"):
        for file, path in (images, labels):
            known.check(file, file.read(path), path)
    assert prepare(source)[0].changed
    assert not prepare()[0].changed


def test_a_server_is_asked_for_packed_files_first(prepare, source, serve, data):
    done, messages = prepare(serve(source))
    assert done.changed
    assert sorted(path.name for path in (data / "tiny").iterdir()) == ["images.gz", "labels"]
    assert messages[-1] == ("labels", 4, 4)


def test_a_server_that_lacks_a_file(prepare, source, serve, data):
    (source / "labels").unlink()
    with pytest.raises(DataError) as caught:
        prepare(serve(source))
    assert "tiny could not be downloaded: http://127.0.0.1" in caught.value.message
    assert "lacks labels" in caught.value.message
    assert "ganforge data prepare tiny --from FOLDER" in caught.value.remedy
    assert caught.value.remedy.endswith("or ask a friend")
    assert nothing_left(data)


def test_a_download_that_breaks_off(prepare, source, serve, data):
    class Broken(serve.quiet):
        def copyfile(self, source, outputfile):
            outputfile.write(source.read()[:-3])

    with pytest.raises(DataError, match="IncompleteRead"):
        prepare(serve(source, Broken))
    assert nothing_left(data)


def test_a_server_with_other_content(prepare, source, serve, data):
    (source / "labels").write_bytes(b"9999")
    with pytest.raises(DataError, match=r"labels: is not labels of tiny"):
        prepare(serve(source))
    assert nothing_left(data)


def test_no_server_answers(prepare, data):
    with pytest.raises(DataError, match="refused"):
        prepare("http://127.0.0.1:9/")
    assert nothing_left(data)


def test_a_server_that_says_nothing_is_given_up(prepare, source, serve, data, monkeypatch):
    class Silent(serve.quiet):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Length", "100")
            self.end_headers()
            self.wfile.write(b"1")
            self.wfile.flush()
            released.wait(60)

    released = threading.Event()
    monkeypatch.setattr("ganforge.session.data_preparation._TIMEOUT", 0.3)
    try:
        with pytest.raises(DataError, match=r"could not be downloaded: http://127.+timed out"):
            prepare(serve(source, Silent))
    finally:
        released.set()
    assert nothing_left(data)


def test_a_server_that_drips_is_waited_for(prepare, source, serve, data, monkeypatch):
    class Dripping(serve.quiet):
        def copyfile(self, source, outputfile):
            while piece := source.read(40):
                outputfile.write(piece)
                outputfile.flush()
                waited.wait(0.02)

    waited = threading.Event()
    assert prepare(serve(source, Dripping))[0].changed
    assert sorted(path.name for path in (data / "tiny").iterdir()) == ["images.gz", "labels"]


@pytest.mark.parametrize(
    ("length", "messages"),
    [(lambda size: size + 7, "IncompleteRead"), (lambda size: size - 1, "is not|damaged gzip"), (lambda size: None, None)],
)
def test_sizes_that_a_server_tells_wrongly_or_not_at_all(prepare, source, serve, data, length, messages):
    class Misjudging(serve.quiet):
        def send_header(self, name, value):
            if name == "Content-Length":
                value = length(int(value))
            if value is not None:
                super().send_header(name, value)

    url = serve(source, Misjudging)
    if messages is None:
        assert prepare(url)[0].changed
        return
    with pytest.raises(DataError, match=messages):
        prepare(url)
    assert nothing_left(data)


def test_a_file_of_unknown_size_may_be_large(tmp_path, data, serve):
    content = bytes(range(256)) * 4096  # more than one piece of a download
    folder = tmp_path / "web"
    folder.mkdir()
    (folder / "batch").write_bytes(content)
    file = RemoteFile("batch", f"md5:{hashlib.md5(content, usedforsecurity=False).hexdigest()}", 0)
    dataset = RemoteDataset("large", "one file", ((file,),), (), "none")

    assert prepare_data(dataset, serve(folder), [data], lambda *_: None).changed
    assert (data / "large" / "batch").read_bytes() == content
    assert have_right_sizes(dataset, data / "large")
    (data / "large" / "batch").write_bytes(b"")
    assert not have_right_sizes(dataset, data / "large")


def test_a_server_that_never_ends_is_cut_off(prepare, source, serve, data):
    class Endless(serve.quiet):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            with contextlib.suppress(OSError):
                while True:
                    self.wfile.write(bytes(1 << 16))

    with pytest.raises(DataError, match="is larger than expected"):
        prepare(serve(source, Endless))
    assert nothing_left(data)


def test_gzip_that_unpacks_to_far_more_than_the_file_is_refused(prepare, source, serve, data):
    (source / "images.gz").write_bytes(gzip.compress(bytes(50_000_000)))
    with pytest.raises(DataError, match=r"images\.gz: unpacks to more than the 600 bytes"):
        prepare(serve(source))
    assert nothing_left(data)


def test_a_redirection_is_followed(prepare, source, serve, data):
    class Moved(serve.quiet):
        def do_GET(self):
            self.send_response(302)
            self.send_header("Location", target + self.path.lstrip("/"))
            self.end_headers()

    target = serve(source)
    assert prepare(serve(source, Moved))[0].changed
    assert sorted(path.name for path in (data / "tiny").iterdir()) == ["images.gz", "labels"]


@pytest.mark.parametrize("where", ["file:///etc/passwd", "ftp://127.0.0.1/images", "http://"])
def test_a_redirection_elsewhere_than_the_web_is_refused(prepare, source, serve, data, where):
    class Moved(serve.quiet):
        def do_GET(self):
            self.send_response(302)
            self.send_header("Location", where)
            self.end_headers()

    with pytest.raises(DataError, match="could not be downloaded"):
        prepare(serve(source, Moved))
    assert nothing_left(data)


def test_a_redirection_in_a_circle_ends(prepare, source, serve, data):
    class Circling(serve.quiet):
        def do_GET(self):
            self.send_response(302)
            self.send_header("Location", self.path)
            self.end_headers()

    with pytest.raises(DataError, match="could not be downloaded"):
        prepare(serve(source, Circling))
    assert nothing_left(data)


@pytest.mark.parametrize("answer", [b"", b"noise\r\n\r\n", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"])
def test_what_is_no_http_is_reported(prepare, source, serve, data, answer):
    class Garbled(serve.quiet):
        def handle(self):
            self.rfile.readline()
            self.wfile.write(answer)

    with pytest.raises(DataError, match="could not be downloaded"):
        prepare(serve(source, Garbled))
    assert nothing_left(data)


@pytest.mark.parametrize("code", [401, 429, 500, 503])
def test_a_server_with_an_error_of_its_own(prepare, source, serve, data, code):
    class Failing(serve.quiet):
        def do_GET(self):
            self.send_error(code)

    with pytest.raises(DataError, match="could not be downloaded"):
        prepare(serve(source, Failing))
    assert nothing_left(data)


def test_the_next_server_is_asked_where_the_first_one_breaks_off(known, source, serve, data):
    class Broken(serve.quiet):
        def copyfile(self, source, outputfile):
            outputfile.write(source.read()[:-3])

    both = replace(known, urls=(serve(source, Broken), serve(source)))
    assert prepare_data(both, None, (data,), lambda *words: None).changed
    assert sorted(path.name for path in (data / "tiny").iterdir()) == ["images.gz", "labels"]


@pytest.fixture
def portal(serve):
    """A server that answers whatever is asked with a page, as the network of a hotel does."""

    class Portal(serve.quiet):
        def do_GET(self):
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<html>pay first</html>")

    asked = []
    return lambda: (serve(".", Portal), asked)


def test_the_next_server_is_asked_where_the_first_one_has_other_content(known, source, serve, data, portal):
    url, asked = portal()
    both = replace(known, urls=(url, serve(source)))
    assert prepare_data(both, None, (data,), lambda *words: None).changed
    assert (data / "tiny" / "labels").read_bytes() == CONTENT["labels"]
    assert asked == ["/images.gz"]  # the first sum is enough


def test_what_one_server_had_right_is_not_asked_of_the_next(known, source, serve, data, tmp_path):
    (tmp_path / "other").mkdir()
    (source / "labels").rename(tmp_path / "other" / "labels")
    both = replace(known, urls=(serve(source), serve(tmp_path / "other")))
    assert prepare_data(both, None, (data,), lambda *words: None).changed
    assert sorted(path.name for path in (data / "tiny").iterdir()) == ["images.gz", "labels"]


def test_every_server_is_reported_with_its_failure(known, data, portal):
    both = replace(known, urls=(portal()[0], "http://127.0.0.1:9/"))
    with pytest.raises(DataError, match=r"images\.gz: is not images of tiny: .+; http://127\.0\.0\.1:9/: .+refused"):
        prepare_data(both, None, (data,), lambda *words: None)
    assert nothing_left(data)


@pytest.mark.parametrize("name", ["all.tar.gz", "renamed.tgz", "all.tar.gz?token=a/b", "./"])
def test_a_url_of_an_archive_is_that_archive(prepare, serve, data, tmp_path, name):
    (tmp_path / "web").mkdir()
    for file in ("all.tar.gz", "renamed.tgz"):
        (tmp_path / "web" / file).write_bytes(ARCHIVE)
    assert prepare(serve(tmp_path / "web").replace("http", "HTTP") + name)[0].changed
    assert [path.name for path in (data / "tiny").iterdir()] == ["all.tar.gz"]


def test_a_url_of_another_archive(prepare, serve, data, tmp_path):
    (tmp_path / "all.tar.gz").write_bytes(b"other")
    with pytest.raises(DataError, match=r"all\.tar\.gz: is not all\.tar\.gz of tiny"):
        prepare(f"{serve(tmp_path)}all.tar.gz")
    assert nothing_left(data)


def test_a_url_of_one_file_of_several(prepare, serve, source, data):
    with pytest.raises(UsageError, match=r"images\.gz is one of several files"):
        prepare(f"{serve(source)}images.gz")
    assert nothing_left(data)


def test_a_query_stays_behind_the_name(prepare, serve, source, data):
    class Asking(serve.quiet):
        def do_GET(self):
            asked.append(self.path)
            super().do_GET()

    asked = []
    assert prepare(f"{serve(source.parent, Asking)}source/?token=1#top")[0].changed
    assert asked == ["/source/images.gz?token=1", "/source/labels.gz?token=1", "/source/labels?token=1"]


@pytest.mark.parametrize(
    "url", ["http://", "http:///", "http://127.0.0.1:port/", "http://[::1/", "https://a b/", "http://127.0.0.1:99999/"]
)
def test_an_address_that_is_none(prepare, data, url):
    with pytest.raises(DataError) as caught:
        prepare(url)
    assert "could not be downloaded" in caught.value.message
    assert nothing_left(data)
