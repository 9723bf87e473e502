import tomllib

import pytest

from ganforge.core.errors import RecipeError, UsageError
from ganforge.recipe.json_schema import updated_settings, write_schema_directive


def associate(globs, schema, folder):
    """Write what should change; the files that did."""
    texts = updated_settings(globs, schema, folder)
    for path, text in texts.items():
        path.write_text(text)
    return tuple(texts)


@pytest.fixture
def schema(tmp_path):
    return tmp_path / ".ganforge" / "recipe.schema.json"


def test_line_is_put_on_top_once_and_leads_to_the_schema(tmp_path, schema):
    recipe = tmp_path / "recipes" / "one.toml"
    recipe.parent.mkdir()
    recipe.write_text('# Why.\ntitle = "One"\n')

    assert write_schema_directive(recipe, schema)
    assert recipe.read_text() == '#:schema ../.ganforge/recipe.schema.json\n# Why.\ntitle = "One"\n'
    assert not write_schema_directive(recipe, schema)


def test_line_that_leads_elsewhere_is_renewed_wherever_it_stands_on_top(tmp_path, schema):
    recipe = tmp_path / "one.toml"
    recipe.write_text('# Why.\n#:schema https://example.org/x.json\ntitle = "#:schema"\n#:schema not this one\n')

    assert write_schema_directive(recipe, schema)
    assert recipe.read_text().splitlines() == [
        "#:schema ./.ganforge/recipe.schema.json",
        "# Why.",
        'title = "#:schema"',
        "#:schema not this one",
    ]


def test_line_endings_and_byte_order_mark_stay(tmp_path, schema):
    recipe = tmp_path / "one.toml"
    recipe.write_bytes(b'\xef\xbb\xbftitle = "One"\r\nb = 1\r\n')

    write_schema_directive(recipe, schema)
    assert recipe.read_bytes() == b'\xef\xbb\xbf#:schema ./.ganforge/recipe.schema.json\r\ntitle = "One"\r\nb = 1\r\n'


def test_link_to_a_recipe_stays_a_link(tmp_path, schema):
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "one.toml").write_text('title = "One"\n')
    (tmp_path / "link.toml").symlink_to("real/one.toml")

    write_schema_directive(tmp_path / "link.toml", schema)
    assert (tmp_path / "link.toml").is_symlink()
    assert (tmp_path / "real" / "one.toml").read_text().startswith("#:schema ../.ganforge/")


@pytest.mark.parametrize("text", ["not toml", "", None])
def test_what_is_no_recipe_is_left_alone(tmp_path, schema, text):
    recipe = tmp_path / "one.toml"
    if text is not None:
        recipe.write_text(text)
    with pytest.raises(RecipeError):
        write_schema_directive(recipe, schema)
    assert text is None or recipe.read_text() == text


def test_rules_are_written_for_both_tools_once(tmp_path, schema):
    assert {path.name for path in associate(["recipes/*.toml"], schema, tmp_path)} == {".taplo.toml", "tombi.toml"}
    assert tomllib.loads((tmp_path / ".taplo.toml").read_text()) == {
        "rule": [{"include": ["recipes/*.toml"], "schema": {"path": "./.ganforge/recipe.schema.json"}}]
    }
    assert tomllib.loads((tmp_path / "tombi.toml").read_text()) == {
        "schemas": [{"path": "./.ganforge/recipe.schema.json", "include": ["recipes/*.toml"]}]
    }
    assert associate(["recipes/*.toml"], schema, tmp_path) == ()


def test_more_patterns_get_a_rule_of_their_own_once(tmp_path, schema):
    associate(["recipes/*.toml"], schema, tmp_path)
    assert len(associate(["more/[ab].toml", "recipes/*.toml", "more/[ab].toml"], schema, tmp_path)) == 2

    for file, name in ((".taplo.toml", "rule"), ("tombi.toml", "schemas")):
        rules = tomllib.loads((tmp_path / file).read_text())[name]
        assert [rule["include"] for rule in rules] == [["recipes/*.toml"], ["more/[ab].toml"]]
    assert associate(["more/[ab].toml", "recipes/*.toml"], schema, tmp_path) == ()


def test_a_rule_for_every_file_needs_no_other(tmp_path, schema):
    (tmp_path / "tombi.toml").write_text('[[schemas]]\npath = "./.ganforge/recipe.schema.json"\n')
    assert [path.name for path in associate(["b.toml"], schema, tmp_path)] == [".taplo.toml"]


def test_an_empty_pattern_is_refused(tmp_path, schema):
    with pytest.raises(UsageError, match="an empty pattern matches no file"):
        associate(["*.toml", ""], schema, tmp_path)


def test_settings_that_are_there_stay(tmp_path, schema):
    (tmp_path / "taplo.toml").write_text('# mine\n[formatting]\ncolumn_width = 100\n\n[[rule]]\nkeys = ["a"]\n')

    associate(["*.toml"], schema, tmp_path)
    text = (tmp_path / "taplo.toml").read_text()
    assert text.startswith("# mine\n[formatting]\n")
    assert [sorted(rule) for rule in tomllib.loads(text)["rule"]] == [["keys"], ["include", "schema"]]
    assert not (tmp_path / ".taplo.toml").exists()


@pytest.mark.parametrize("settings", [b"rule = [ { keys = [] } ]\n", b"not toml", b"\xff\xfe", b"rule = 3", b"rule = [3]"])
def test_settings_that_take_no_rule_are_told_with_the_rule_to_add(tmp_path, schema, settings):
    (tmp_path / ".taplo.toml").write_bytes(settings)
    with pytest.raises(UsageError) as refused:
        associate(["*.toml"], schema, tmp_path)
    assert "no rule can be added to" in refused.value.message
    assert 'include = ["*.toml"]' in refused.value.remedy
    assert (tmp_path / ".taplo.toml").read_bytes() == settings
    assert not (tmp_path / "tombi.toml").exists()
