"""Each way in which a plugin can be broken: one warning, the right status, nothing of it left, all else works."""

import sys
import threading

import pluggy
import pytest

from ganforge import __version__
from ganforge.core.errors import PluginError, UsageError
from ganforge.registry import plugin_loader
from ganforge.registry.component import Kind
from ganforge.registry.discovery import PluginStatus
from ganforge.registry.hookspecs import HOOKS
from ganforge.registry.selection import PluginSelection, from_environment

GOOD = """
    from ganforge.plugin import hookimpl

    @hookimpl
    def ganforge_register_losses(register):
        register("good", "good_gan:build", summary="Works.")
"""

IMPORTS = "from ganforge.plugin import hookimpl\n"

FAULTS = {
    "import error": ("import einops_is_not_here\n", "ModuleNotFoundError: No module named 'einops_is_not_here'"),
    "syntax error": ("def broken(:\n", "SyntaxError"),
    "any exception at import": ("raise RuntimeError('no GPU here')\n", "RuntimeError: no GPU here"),
    "exception without text": ("raise ValueError\n", "ValueError"),
    "sys.exit at import": ("import sys\nsys.exit(3)\n", "it called sys.exit(3)"),
    "not even an Exception": ("raise GeneratorExit('over')\n", "GeneratorExit: over"),
    "an exception whose text raises": (
        "class Rude(Exception):\n    def __str__(self):\n        raise RuntimeError('no text')\n\nraise Rude\n",
        "Rude",
    ),
    "exception half-way through registration": (
        """
        from ganforge.plugin import hookimpl

        @hookimpl
        def ganforge_register_generators(register):
            register("first", "acme_gan:build", summary="Staged and thrown away.")

        @hookimpl
        def ganforge_register_losses(register):
            register("second", "acme_gan:build", summary="Staged and thrown away.")
            raise KeyError("third")
        """,
        "KeyError: 'third'",
    ),
    "sys.exit in a hook": (
        """
        import sys
        from ganforge.plugin import hookimpl

        @hookimpl
        def ganforge_register_losses(register):
            register("one", "acme_gan:build", summary="Staged and thrown away.")
            sys.exit("bye")
        """,
        "it called sys.exit('bye')",
    ),
    "unknown hook": (
        """
        from ganforge.plugin import hookimpl

        @hookimpl
        def ganforge_register_generator(register): ...
        """,
        "ganforge_register_generator is not a hook of ganforge",
    ),
    "unknown hook without a marker": (
        "def ganforge_register_models(register): ...\n",
        "ganforge_register_models is not a hook of ganforge",
    ),
    "marked function that is no hook": (
        """
        from ganforge.plugin import hookimpl

        @hookimpl
        def register_losses(register): ...
        """,
        "register_losses is not a hook of ganforge",
    ),
    "missing marker": ("def ganforge_register_losses(register): ...\n", "ganforge_register_losses lacks @hookimpl"),
    "unknown argument": (
        """
        from ganforge.plugin import hookimpl

        @hookimpl
        def ganforge_register_losses(register, config): ...
        """,
        "ganforge_register_losses(register, config) has wrong arguments; its signature is ganforge_register_losses(register)",
    ),
    "no argument": (
        """
        from ganforge.plugin import hookimpl

        @hookimpl
        def ganforge_register_losses(): ...
        """,
        "ganforge_register_losses() has wrong arguments; its signature is ganforge_register_losses(register)",
    ),
    "returns what it should register": (
        """
        from ganforge.plugin import hookimpl

        @hookimpl
        def ganforge_register_losses(register):
            return [("name", "factory")]
        """,
        "ganforge_register_losses must call register and return nothing; it returned a list",
    ),
    "yields": (
        """
        from ganforge.plugin import hookimpl

        @hookimpl
        def ganforge_register_losses(register):
            yield register("one", "acme_gan:build", summary="Never run.")
        """,
        "it returned a generator",
    ),
    "coroutine": (
        """
        from ganforge.plugin import hookimpl

        @hookimpl
        async def ganforge_register_losses(register):
            register("one", "acme_gan:build", summary="Never run.")
        """,
        "it returned a coroutine",
    ),
}

TYPED = (
    "import collections.abc, typing, pydantic; from ganforge.plugin import Params; "
    "model = lambda kind: type('Faulty', (Params,), {'__annotations__': {'odd': kind}, '__module__': __name__}); "
)
GARBAGE = {
    "name is a number": ('register(1, "a:b", summary="s")', "name 1 is invalid: Input should be a valid string"),
    "name with capitals": (
        'register("Hinge", "a:b", summary="s")',
        "name 'Hinge' is invalid: must be lower-case",
    ),
    "missing arguments": ('register("x")', "TypeError: Registrar.__call__() missing"),
    "unknown option": (
        'register("x", "a:b", summary="s", colour="red")',
        "TypeError: Registrar.__call__() got an unexpected keyword",
    ),
    "factory is no reference": (
        'register("x", "a.b", summary="s")',
        "'a.b' is invalid: must be of the form 'module:attribute'",
    ),
    "factory is a number": (
        'register("x", 3, summary="s")',
        "loss 'x': factory 3 is invalid",
    ),
    "params is a dict": (
        'register("x", "a:b", summary="s", params={})',
        "loss 'x': params {} is invalid",
    ),
    "params is another class": ('register("x", "a:b", summary="s", params=int)', "or Input should be a subclass of Params"),
    "checksums are a list": (
        'register("x", "a:b", summary="s", checksums=["a"])',
        "checksums ['a'] is invalid",
    ),
    "spec is a number": ('register("x", "a:b", summary="s", spec=1)', "spec 1 is invalid"),
    "empty summary": (
        'register("x", "a:b", summary=" ")',
        "summary ' ' is invalid",
    ),
    "summary is None": ('register("x", "a:b", summary=None)', "loss 'x': summary None is invalid"),
    "requires is a string": (
        'register("x", "a:b", summary="s", requires="labels")',
        "requires 'labels' is invalid: Input should be a valid tuple",
    ),
    "cost is a number": ('register("x", "a:b", summary="s", cost=3)', "cost 3 is invalid"),
    "deprecated is empty": ('register("x", "a:b", summary="s", deprecated=" ")', "deprecated ' ' is invalid"),
    "tags hold numbers": ('register("x", "a:b", summary="s", tags={1})', "tags 1 is invalid"),
    "revision is text": (
        'register("x", "a:b", summary="s", revision="2")',
        "revision '2' is invalid",
    ),
    "revision is zero": (
        'register("x", "a:b", summary="s", revision=0)',
        "revision 0 is invalid",
    ),
    "check_params is a list": ('register("x", "a:b", summary="s", check_params=[1])', "check_params [1] is invalid"),
    "params hold Any": (
        f'{TYPED}register("x", "a:b", summary="s", params=model(typing.Any))',
        "loss 'acme-gan/x': its params are not plain data: odd (Any)",
    ),
    "params hold a function": (
        f'{TYPED}register("x", "a:b", summary="s", params=model(collections.abc.Callable[[int], int]))',
        "loss 'acme-gan/x': its params are not plain data: odd (Callable)",
    ),
    "params name code": (
        f'{TYPED}register("x", "a:b", summary="s", params=model(pydantic.ImportString | None))',
        "loss 'acme-gan/x': its params are not plain data: odd (ImportString)",
    ),
    "expected_failures without a reason": (
        'register("x", "a:b", summary="s", expected_failures={"L01": ""})',
        "loss 'x': expected_failures '' is invalid",
    ),
    "expected_failures is a list": (
        'register("x", "a:b", summary="s", expected_failures=["L01"])',
        "expected_failures ['L01'] is invalid",
    ),
    "one name twice": (
        'register("x", "a:b", summary="s"); register("x", "a:c", summary="s")',
        "loss 'x' is registered twice by acme-gan",
    ),
}


def only(registry, distribution):
    return next(record for record in registry.plugins if record.distribution == distribution)


def assert_costs_itself_only(registry, reason):
    record = only(registry, "acme-gan")
    assert record.status is PluginStatus.BROKEN
    assert reason in record.reason
    assert "\n" not in record.reason
    assert registry.warning == "1 plugin failed to load (acme-gan); see: `ganforge plugins list`"

    assert not [component for component in registry.components() if component.plugin.distribution == "acme-gan"]
    assert only(registry, "ganforge").status is PluginStatus.ACTIVE
    assert only(registry, "good-gan").status is PluginStatus.ACTIVE
    assert registry.find(Kind.LOSS, "good").id == "good-gan/good"


@pytest.mark.parametrize("fault", FAULTS)
def test_a_broken_plugin_costs_itself_only(install, load, fault):
    source, reason = FAULTS[fault]
    install(source=source)
    install("good-gan", source=GOOD)

    assert_costs_itself_only(load("acme-gan", "good-gan"), reason)


def test_a_module_that_pluggy_keeps_although_it_rejects_it_is_unregistered(install, load, monkeypatch):
    """As in pluggy 1.6: the hooks that came before the rejected one would register again with the next plugin."""

    def register(self, module, name=None):
        genuine(self, module, name)
        if module.__name__.startswith("acme"):
            raise ValueError("rejected late")

    genuine = pluggy.PluginManager.register
    install(source=GOOD.replace("good", "evil"))
    install("good-gan", source=GOOD)
    monkeypatch.setattr(pluggy.PluginManager, "register", register)

    registry = load("acme-gan", "good-gan")

    assert only(registry, "acme-gan").status == "broken"
    assert only(registry, "good-gan").components == {Kind.LOSS: ("good",)}


@pytest.mark.parametrize("statement", ["raise RuntimeError('planted')", "return 3"])
@pytest.mark.parametrize("hook", sorted(HOOKS))
def test_each_hook_may_fail_without_harm(install, load, hook, statement):
    others = "".join(
        f"@hookimpl\ndef {other}(register):\n    register('one', 'acme_gan:build', summary='Staged.')\n"
        for other in HOOKS
        if other != hook
    )
    install(source=f"{IMPORTS}{others}@hookimpl\ndef {hook}(register):\n    {statement}\n")
    install("good-gan", source=GOOD)

    reason = "RuntimeError: planted" if statement.startswith("raise") else f"{hook} must call register and return nothing"
    assert_costs_itself_only(load("acme-gan", "good-gan"), reason)


@pytest.mark.parametrize("name", ["hinge", "good"])
def test_a_taken_name_takes_nothing_away(install, load, name):
    install(source=GOOD.replace('"good"', f'"{name}"'))
    install("good-gan", source=GOOD)

    registry = load("acme-gan", "good-gan")

    assert {only(registry, plugin).status for plugin in ("acme-gan", "good-gan", "ganforge")} == {PluginStatus.ACTIVE}
    assert registry.find(Kind.LOSS, f"acme-gan/{name}").plugin.distribution == "acme-gan"
    if name == "hinge":
        assert registry.find(Kind.LOSS, "hinge").id == "ganforge/hinge"
        assert only(registry, "acme-gan").remarks == ("loss 'hinge' is a reserved name: write 'acme-gan/hinge'",)
    else:
        with pytest.raises(UsageError, match="loss 'good' is ambiguous"):
            registry.find(Kind.LOSS, "good")


@pytest.mark.parametrize("garbage", GARBAGE)
def test_a_garbage_registration_breaks_its_plugin_in_words(install, load, garbage):
    call, reason = GARBAGE[garbage]
    install(source=f"{IMPORTS}\n@hookimpl\ndef ganforge_register_losses(register):\n    {call}\n")
    install("good-gan", source=GOOD)

    assert_costs_itself_only(load("acme-gan", "good-gan"), reason)


def test_the_failure_is_kept_with_its_traceback(install, load):
    install(source="def inner():\n    raise RuntimeError('deep')\n\ninner()\n")

    record = only(load("acme-gan"), "acme-gan")

    assert "in inner" in record.traceback
    assert record.traceback.endswith("RuntimeError: deep\n")
    assert record.load_ms is None


def test_what_a_broken_plugin_had_announced_is_remembered(install, load):
    install(source=FAULTS["exception half-way through registration"][0])

    registry = load("acme-gan")

    assert only(registry, "acme-gan").components == {Kind.GENERATOR: ("first",), Kind.LOSS: ("second",)}
    with pytest.raises(PluginError, match=r"generator 'first' comes from acme-gan 1\.0, which is broken: KeyError: 'third'"):
        registry.find(Kind.GENERATOR, "first")


def test_ctrl_c_passes_and_a_plugin_that_raises_keyboardinterrupt_is_broken(install, load):
    install(source="raise KeyboardInterrupt\n")
    install(name="slow-gan", source="import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n")

    assert only(load("acme-gan"), "acme-gan").reason == "it raised KeyboardInterrupt (acme_gan.py:1)"
    with pytest.raises(KeyboardInterrupt):
        load("slow-gan")


def test_an_unknown_hook_marked_optional_is_for_a_later_ganforge(install, load):
    install(source=f"{GOOD}\n    @hookimpl(optionalhook=True)\n    def ganforge_register_callbacks(register): ...\n")

    registry = load("acme-gan")

    assert registry.find(Kind.LOSS, "good").plugin.distribution == "acme-gan"


def test_a_default_argument_is_no_fault(install, load):
    install(source=GOOD.replace("(register)", "(register, later=None)"))

    assert load("acme-gan").find(Kind.LOSS, "good").plugin.distribution == "acme-gan"


def test_what_a_plugin_prints_goes_to_stderr(install, load, capsys):
    install(source="print('hello from acme')\n" + IMPORTS)

    load("acme-gan")

    assert capsys.readouterr() == ("", "hello from acme\n")


@pytest.mark.parametrize("switches", [{"disabled": frozenset({"acme-gan"})}, {"allowed": frozenset()}])
def test_a_disabled_plugin_is_not_imported(install, switches):
    fake = install(entry_point="acme")

    registry = plugin_loader.load_plugins(PluginSelection(**switches))

    record = only(registry, "acme-gan")
    assert record.status is PluginStatus.DISABLED
    assert record.file == fake.folder / "acme_gan.py"
    assert fake.module not in sys.modules
    assert only(registry, "ganforge").status is PluginStatus.ACTIVE
    with pytest.raises(UsageError, match=r"comes from acme-gan 1\.0, which is disabled"):
        registry.find(Kind.GENERATOR, "acme-gan/linear")


@pytest.mark.parametrize("name", ["acme", "Acme", "acme-gan", "acme_gan", "ACME.GAN"])
def test_a_switch_takes_either_name_in_any_spelling(install, name):
    install(entry_point="acme")

    registry = plugin_loader.load_plugins(from_environment({"GANFORGE_DISABLE_PLUGINS": name}))

    assert only(registry, "acme-gan").status is PluginStatus.DISABLED


@pytest.mark.parametrize("requirement", ["ganforge>=99", "ganforge<0.1", "GANforge [x] ==7.*", "ganforge>=99; python_version>'3'"])
def test_an_incompatible_plugin_is_not_imported(install, load, requirement):
    fake = install(requires=["numpy", requirement])

    registry = load("acme-gan")

    record = only(registry, "acme-gan")
    assert record.status is PluginStatus.INCOMPATIBLE
    assert record.reason.endswith(f", this is {__version__}")
    assert "needs ganforge" in record.reason
    assert fake.module not in sys.modules
    assert registry.warning.startswith("1 plugin failed to load (acme-gan)")
    with pytest.raises(PluginError, match="which is incompatible: needs ganforge"):
        registry.find(Kind.GENERATOR, "acme-gan/linear")


@pytest.mark.parametrize(
    "requires",
    [
        [],
        ["ganforge"],
        ["ganforge>=0.1"],
        ["ganforge-vanilla>=99"],
        ["ganforge>=99; extra == 'later'"],
        ["ganforge>=99; python_version<'3'"],
    ],
)
def test_a_requirement_that_does_not_apply_is_no_fault(install, load, requires):
    install(requires=requires)

    assert only(load("acme-gan"), "acme-gan").status is PluginStatus.ACTIVE


def test_a_development_version_satisfies_a_bound(install, load, monkeypatch):
    monkeypatch.setattr("ganforge.registry.discovery.__version__", "0.3.0.dev0")
    install(requires=["ganforge>=0.2,<0.4"])

    assert only(load("acme-gan"), "acme-gan").status is PluginStatus.ACTIVE


def test_an_unreadable_requirement_is_reported(install, load):
    install(requires=["ganforge >>> 3"])

    assert only(load("acme-gan"), "acme-gan").reason == "its requirement 'ganforge >>> 3' cannot be read"


def test_a_distribution_seen_twice_loads_once(install, load, tmp_path, monkeypatch):
    install()
    install(folder=tmp_path / "second")
    monkeypatch.syspath_prepend(tmp_path / "second")

    registry = load("acme-gan")

    assert [record.status for record in registry.plugins if record.distribution == "acme-gan"] == [PluginStatus.ACTIVE]
    assert registry.warning is None


def test_an_entry_point_declared_twice_is_not_guessed_at(install, load):
    fake = install()
    fake.info.joinpath("entry_points.txt").write_text("[ganforge]\nacme-gan = acme_gan\nacme-gan = other\n")

    registry = load("acme-gan")

    assert only(registry, "acme-gan").reason == "its entry point 'acme-gan' is declared twice: acme_gan and other"
    assert registry.warning


def test_an_equal_entry_point_twice_is_no_fault(install, load):
    fake = install()
    fake.info.joinpath("entry_points.txt").write_text("[ganforge]\nacme-gan = acme_gan\nacme-gan = acme_gan\n")

    assert only(load("acme-gan"), "acme-gan").status is PluginStatus.ACTIVE


def test_two_distributions_with_one_module_do_not_harm_each_other(install, load):
    install("good-gan", source=GOOD)
    install("acme-gan", source=GOOD, module="good_gan")

    registry = load("good-gan", "acme-gan")

    assert only(registry, "acme-gan").status is PluginStatus.ACTIVE
    assert only(registry, "good-gan").reason == "its module good_gan is already registered by acme-gan"
    assert registry.find(Kind.LOSS, "good").id == "acme-gan/good"


def test_two_entry_points_of_one_distribution_share_its_ids(install, load):
    fake = install(source=GOOD)
    fake.folder.joinpath("acme_more.py").write_text(fake.folder.joinpath("acme_gan.py").read_text())
    fake.info.joinpath("entry_points.txt").write_text("[ganforge]\none = acme_gan\ntwo = acme_more\n")

    records = {record.name: record for record in load("acme-gan").plugins}

    assert records["one"].status is PluginStatus.ACTIVE
    assert records["two"].reason == "loss 'acme-gan/good' is already registered by entry point 'one'"


@pytest.mark.parametrize(
    "value", ["acme_gan:ganforge_register_generators", "acme_gan:nothing", "no.such.module", "%%", "acme_gan:"]
)
def test_an_entry_point_that_names_no_module_is_reported(install, load, value):
    fake = install()
    fake.info.joinpath("entry_points.txt").write_text(f"[ganforge]\nacme-gan = {value}\n")

    registry = load("acme-gan")

    assert registry.plugins[0].status is PluginStatus.ACTIVE
    assert only(registry, "acme-gan").status is PluginStatus.BROKEN
    assert only(registry, "acme-gan").reason


@pytest.mark.parametrize("text", ["[ganforge]\nno equals sign\n", "\udcff"])
def test_damaged_metadata_of_one_distribution_hides_no_other(install, load, text):
    install("good-gan", source=GOOD)
    install("damaged").info.joinpath("entry_points.txt").write_bytes(text.encode("utf-8", "surrogateescape"))

    assert load("good-gan").find(Kind.LOSS, "good").id == "good-gan/good"


def test_unreadable_metadata_is_the_plugins_fault(install, load):
    fake = install()
    fake.info.joinpath("direct_url.json").write_text("{")

    record = only(load("acme-gan"), "acme-gan")

    assert record.status is PluginStatus.BROKEN
    assert record.reason.startswith("its metadata cannot be read: ")


def test_a_plugin_without_the_modules_it_needs_is_unavailable(install, load):
    install(source=GOOD.replace('summary="Works."', 'summary="Works.", needs=("einops_is_not_here",)'))

    registry = load("acme-gan")

    record = only(registry, "acme-gan")
    assert (record.status, record.reason) == (PluginStatus.UNAVAILABLE, "needs einops_is_not_here")
    assert registry.warning is None
    with pytest.raises(PluginError, match="loss 'acme-gan/good' is unavailable: needs einops_is_not_here"):
        registry.find(Kind.LOSS, "good")
    assert registry.find(Kind.LOSS, "good", usable=False).id == "acme-gan/good"


def test_a_registrar_that_is_kept_registers_nothing_later(install, load):
    install(
        source="""
        from ganforge.plugin import hookimpl

        kept = []

        @hookimpl
        def ganforge_register_losses(register):
            kept.append(register)
        """
    )
    registry = load("acme-gan")

    late = threading.Thread(target=lambda: sys.modules["acme_gan"].kept[0]("late", "acme_gan:build", summary="Too late."))
    late.start()
    late.join()

    assert not [component for component in registry.components() if component.name == "late"]


@pytest.mark.parametrize(
    ("record", "source", "origin"),
    [
        (None, "index", None),
        ({"url": "file:///home/me/acme%20gan", "dir_info": {"editable": True}}, "editable", "/home/me/acme gan"),
        ({"url": "file:///home/me/acme-gan", "dir_info": {}}, "folder", "/home/me/acme-gan"),
        ({"url": "file:///tmp/acme-1.0.whl", "archive_info": {}}, "archive", "/tmp/acme-1.0.whl"),
        ({"url": "https://acme.org/acme.whl", "archive_info": {}}, "url", "https://acme.org/acme.whl"),
        (
            {"url": "https://git.org/acme", "vcs_info": {"vcs": "git", "commit_id": "a1b2c3d4e5f6a7b8c9"}},
            "vcs",
            "https://git.org/acme@a1b2c3d4e5f6",
        ),
    ],
)
def test_the_record_says_where_a_plugin_comes_from(install, load, record, source, origin):
    fake = install(version="2.1", entry_point="acme", direct_url=record)

    found = only(load("acme-gan"), "acme-gan")

    assert (found.name, found.version, found.source, found.origin) == ("acme", "2.1", source, origin)
    assert found.file == fake.folder / "acme_gan.py"
    assert found.components == {Kind.GENERATOR: ("linear",)}
    assert found.load_ms > 0


def test_a_heavy_plugin_is_remarked_on(install, load, monkeypatch, tmp_path):
    tmp_path.joinpath("mlflow.py").write_text("")
    monkeypatch.delitem(sys.modules, "mlflow", raising=False)
    install(source="import mlflow\n" + IMPORTS)

    assert only(load("acme-gan"), "acme-gan").remarks == ("imports mlflow",)


def test_the_order_of_the_path_decides_nothing(install, load, tmp_path, monkeypatch):
    for name in ("zeta-gan", "acme-gan", "mu-gan"):
        install(name, folder=tmp_path / name)
        monkeypatch.syspath_prepend(tmp_path / name)
    first = load("zeta-gan", "acme-gan", "mu-gan")
    monkeypatch.setattr(sys, "path", sys.path[::-1])
    second = load("zeta-gan", "acme-gan", "mu-gan")

    assert [record.distribution for record in first.plugins] == [record.distribution for record in second.plugins]
    assert first.components() == second.components()
    ours = [record.distribution for record in first.plugins if record.status is PluginStatus.ACTIVE]
    assert ours == ["ganforge", "acme-gan", "mu-gan", "zeta-gan"]


def test_strict_switches_stop_at_a_failure_with_its_place(install, load):
    install(source="raise RuntimeError('no GPU here')\n")

    with pytest.raises(PluginError, match=r"^acme-gan 1.0 is broken: RuntimeError: no GPU here \(acme_gan.py:1\) \(fix"):
        load("acme-gan", strict=True)


def test_the_environment_is_read(install, monkeypatch):
    install(source="raise RuntimeError\n")
    monkeypatch.setenv("GANFORGE_PLUGINS", "acme-gan")
    monkeypatch.setenv("GANFORGE_STRICT_PLUGINS", "1")

    with pytest.raises(PluginError):
        plugin_loader.load_plugins()


def test_a_hundred_plugins_load_in_linear_time(install, load, growth):
    names = [f"acme-{number}" for number in range(100)]
    for name in names:
        install(name, source=GOOD)

    registry = load(*names)

    assert len([component for component in registry.components(Kind.LOSS) if component.name == "good"]) == 100
    assert growth(lambda some: load(*some), names[:25], names) < 10
