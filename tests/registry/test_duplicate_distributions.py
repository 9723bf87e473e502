from ganforge.registry.duplicate_distributions import Unreadable, find_copies


def test_copies_are_told_in_the_order_of_the_import_path(install, tmp_path, monkeypatch):
    install(name="acme-gan", version="1.0")
    install(name="acme-gan", version="2.0", folder=tmp_path / "first", entry_point="acme")
    monkeypatch.syspath_prepend(tmp_path / "first")

    copies, unreadable = find_copies()

    assert [(one.version, one.folder, one.entries) for one in copies["acme-gan"]] == [
        ("2.0", tmp_path / "first", ("acme = acme_gan",)),
        ("1.0", tmp_path, ("acme-gan = acme_gan",)),
    ]
    assert unreadable == ()


def test_two_versions_in_one_folder_are_two_copies(install):
    install(version="1.0")
    install(version="2.0")
    assert sorted(one.version for one in find_copies()[0]["acme-gan"]) == ["1.0", "2.0"]


def test_metadata_without_a_name_is_unreadable(install):
    info = install().info
    (info / "METADATA").unlink()

    copies, (one,) = find_copies()
    assert "acme-gan" not in copies
    assert isinstance(one, Unreadable)
    assert one.place == info
