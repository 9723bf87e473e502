import pytest

from ganforge.core.redaction import HIDDEN, mask, mask_data, mask_text, public_url


@pytest.mark.parametrize(
    "key", ["password", "dataset.params.api_key", "API-KEY", "hf_token", "client_secret", "aws.credentials", "passphrase"]
)
def test_a_value_is_hidden_where_its_key_says_that_it_is_a_secret(key):
    assert mask(key, "correct horse") == HIDDEN


@pytest.mark.parametrize(
    ("key", "value"), [("passes", "3"), ("drop_tokens", "true"), ("token_dropout", "0.1"), ("train.seed", "0")]
)
def test_numbers_that_are_no_secrets_stay(key, value):
    assert mask(key, value) == value


@pytest.mark.parametrize(
    "secret",
    [
        "sk-proj-abcdefghijkl3mnop",
        "sk_live_abcdefghijklmnop1",
        "AIzaabcdefghijklmnopqrstuvwxyz0123456789",
        "pypi-AgEIcHlwaS5vcmcCJDAwMDAw",
        "ghp_0123456789abcdefghijABCDEFGHIJ",
        "hf_abcdefghijklmnopqrstuvwxyzabcdef",
        "AKIAIOSFODNN7EXAMPLE",
        "xoxb-123456789012-abcdef",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
    ],
)
def test_known_shapes_of_secrets_are_cut_out_of_any_text(secret):
    assert secret not in mask_text(f"curl -H 'X: {secret}' https://example.org")


def test_logins_are_cut_out_of_addresses():
    text = "git remote https://anna:hunter2@git.example.org/gan.git and postgresql://db:pw@host/mlflow"

    assert mask_text(text) == "git remote https://git.example.org/gan.git and postgresql://host/mlflow"


def test_assignments_are_masked_in_text_and_keep_their_form():
    assert mask_text('password = "hunter2"\nlr = 0.1') == f'password = "{HIDDEN}"\nlr = 0.1'
    assert mask_text("--set dataset.params.token=abcdef12 --seeds 3") == f"--set dataset.params.token={HIDDEN} --seeds 3"
    assert mask_text('{"api_key": "abc", "n": 1}') == f'{{"api_key": "{HIDDEN}", "n": 1}}'


def test_a_private_key_is_cut_out_whole():
    text = "a\n-----BEGIN RSA PRIVATE KEY-----\nMIIE\nabc\n-----END RSA PRIVATE KEY-----\nb"

    assert mask_text(text) == f"a\n{HIDDEN}\nb"


@pytest.mark.parametrize(
    "text",
    [
        'password = """hunter2\nhunter2"""',
        "password = '''hunter2\nhunter2'''",
        r'password = "a\"hunter2"',
        'token = ["hunter2", "hunter2"]',
        "HF_TOKEN: hunter2",
        "https://anna:p@hunter2@host/x",
        ".https://anna:hunter2@host/x",
        "https://anna:hun'hunter2@host/x",
        'token = [\n  "hunter2",\n]',
        'password = { value = "hunter2" }',
        '{"credentials": {"user": "hunter2"}}',
        "ganforge run x --password hunter2 --plain",
        "--api-key=hunter2",
        "private_key: hunter2",
        "Authorization: hunter2",
        "https://host/x?sig=hunter2&a=b",
    ],
)
def test_no_form_of_writing_a_secret_leaves_a_part_of_it(text):
    assert "hunter2" not in mask_text(text)


@pytest.mark.parametrize(
    "unit",
    [
        *("a", "a-", "a.", "sk-", "eyJ-", "eyJaaaaaaaa.", "token", "token ", "token=[", 'token="', "token='''", 'token="""'),
        *("api_", "x://", "x://a@", "://a", "-----BEGIN ", "-----BEGIN PRIVATE KEY-----", "-----END ", "Bearer  ", "pass =", '\\"'),
    ],
)
def test_long_texts_take_linear_time(unit, growth):
    for start in ("", 'token="""'):
        assert growth(mask_text, start + unit * (5_000 // len(unit)), start + unit * (20_000 // len(unit))) < 8


@pytest.mark.parametrize(
    "text",
    [
        "",
        "seed = 0",
        "tokenizers==0.22",
        "tokens: the first one",
        "http://token.example.org:8000/x",
        "compass = north",
        "token_mixer = mlp",
        'cls_token = "learned"',
        "low_pass = hann",
        "token_dim = 1024",
        "data/sk-sketches-v2/train",
        "/mnt/pk-experiments-of-2024-and-later/x.npz",
        "sk-learn-extra==1.0",
        "a/token=abc/b.npz",
        "sftp://anna@host/data",
        "the discriminator passes over it",
        "sqlite:///mlflow.db",
        "user@example.org",
    ],
)
def test_ordinary_text_stays_as_it_is(text):
    assert mask_text(text) == text


def test_plain_data_is_masked_at_any_depth():
    data = {"token": ["x1y2z3", 7], "tags": {"client_secret": "a", "seed": "7"}, "rows": [("https://u:pw@host/", None)], "pass": ""}

    assert mask_data(data) == {
        "token": [HIDDEN, 7],
        "tags": {"client_secret": HIDDEN, "seed": "7"},
        "rows": [["https://host/", None]],
        "pass": "",
    }


def test_all_below_a_key_that_names_a_secret_is_hidden_numbers_too():
    data = {"credentials": {"user": "a1", "pins": [1234567, 2.5, True, None]}, "access_token": 1234567890123, "token_dim": 1024}

    assert mask_data(data) == {
        "credentials": {"user": HIDDEN, "pins": [HIDDEN, 2.5, True, None]},
        "access_token": HIDDEN,
        "token_dim": 1024,
    }


@pytest.mark.parametrize(
    ("url", "public"),
    [
        ("https://bob:hunter2@example.org/a.git", "https://example.org/a.git"),
        ("https://ghp_token@example.org/a.git", "https://example.org/a.git"),
        ("https://bob:hunt@er2@example.org/a.git", "https://example.org/a.git"),
        ("git+https://bob:hunter2@example.org/a.git@0123#subdirectory=a", "git+https://example.org/a.git@0123#subdirectory=a"),
        ("ssh://bob:hunter2@example.org/a.git", "ssh://bob@example.org/a.git"),
        ("https://example.org/a.whl?token=hunter2", "https://example.org/a.whl"),
        ("https://example.org/a.whl?v=1&X-Amz-Signature=f00&y=2#sha256=ab", "https://example.org/a.whl?v=1&y=2#sha256=ab"),
        ("https://example.org/a.whl?%74oken=hunter2", "https://example.org/a.whl"),
        ("https://example.org/a.whl?q=hf_abcdefghijklmnopqrstuvwxyzabcdef", "https://example.org/a.whl"),
        ("https://example.org/a.whl#egg=a&token=hunter2", "https://example.org/a.whl#egg=a"),
    ],
)
def test_an_address_loses_its_secrets(url, public):
    assert public_url(url) == public
    assert public_url(public) == public


@pytest.mark.parametrize(
    "url",
    [
        "ssh://git@example.org/a.git",
        "https://git@example.org/a.git",
        "https://${USER}:${TOKEN}@example.org/a.git",
        "file:///src/sk-learn-gan@1/a",
        "https://example.org/a@b.whl?design=1#sha256=ab",
    ],
)
def test_an_address_without_secrets_stays_as_it_is(url):
    assert public_url(url) == url
