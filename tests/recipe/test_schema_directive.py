import pytest

from ganforge.core.errors import RecipeError
from ganforge.recipe.json_schema import write_schema_directive


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
