"""What a study may ask for when it comes through a form, and what no study may hold: secrets."""

import pytest

from hpo_tasks.spec import Trust

AWS_KEY = "AKIA" + "ABCDEFGHIJKLMNOP"
JWT = "eyJ" + "hbGciOiJIUzI1NiJ9.eyJ" + "zdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N"
SECRETS = {
    "AWS key id": AWS_KEY,
    "temporary AWS key id": "ASIA" + "ABCDEFGHIJKLMNOP",
    "AWS secret key": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYzEXAMPLEKEa1",
    "GitHub token": "ghp_" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8",
    "fine-grained GitHub token": "github_pat_" + "11ABCDEFG0aBcDeFgHiJkL_mNoPqRsTuVwXyZ",
    "GitLab token": "glpat-" + "x1y2z3A4B5C6D7E8F9G0",
    "Slack token": "xoxb-" + "123456789012-abcdefghijkl",
    "private key": "-----BEGIN RSA " + "PRIVATE KEY-----",
    "JSON web token": JWT,
    "API key": "sk-" + "proj-abcdefghijklmnopqrstuvwx",
    "Google key": "AIza" + "SyA1234567890abcdefghijklmnopqrstuv",
    "Hugging Face token": "hf_" + "abcdefghijklmnopqrstuvwxyzABCDEFGH",
    "password in an address": "postgresql://user:hunter2secret@db/x",
    "authorization header": "Bearer " + "abcdefghijklmnopqrstuvwx",
    "password argument": "password=hunter2secret",
    "random text": "q8Zr3Lk0Wv7Tn5Xb2Hd9Jf6Mc1Pg4Ys8",
}
PLACES = {
    "trial.env.SETTING": lambda value: {"trial": {"command": ["a"], "env": {"SETTING": value}}},
    "trial.command[1]": lambda value: {"trial": {"command": ["a", f"--x={value}"]}},
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("kind", SECRETS)
def test_secrets_are_refused_and_never_repeated(kind, place, problems):
    lines = problems(**PLACES[place](SECRETS[kind]))

    assert [line.split(": ")[0] for line in lines] == [place]
    assert "trial.secrets" in lines[0]
    assert SECRETS[kind][:12] not in lines[0]


@pytest.mark.parametrize(
    "changes",
    [
        {"name": AWS_KEY},
        {"description": f"uses {AWS_KEY}"},
        {"tags": {"key": AWS_KEY}},
        {"optimizer": {"options": {"n_startup_trials": AWS_KEY}}},
        {"optimizer": {"sampler": AWS_KEY}},
        {"budget": {"trials": AWS_KEY}},
        {"budget": {"trials": 8, "wall_clock": f"{JWT}"}},
        {"initial": [{"x": AWS_KEY}]},
        {"timezone": AWS_KEY},
        {"store": f"https://user:{AWS_KEY}@host/x"},
        {"constraints": [f"x < '{AWS_KEY}'"]},
        {"trial": {"command": ["a"], "inputs": {"data": f"https://user:{AWS_KEY}@host/x"}}},
        {"trial": {"command": ["a"], "secrets": {"A": {"connection": f"{AWS_KEY} x"}}}},
        {"trial": {"command": f"a {AWS_KEY}"}},
    ],
)
def test_no_message_repeats_a_secret(changes, problems):
    lines = problems(**changes)

    assert lines
    assert AWS_KEY not in "\n".join(lines)
    assert JWT not in "\n".join(lines)


@pytest.mark.parametrize(
    "name",
    ["DB_PASSWORD", "db_passwd", "GITHUB_TOKEN", "ApiKey", "API_KEY", "CLIENT_SECRET", "MY_CREDENTIALS", "SSH_PRIVATE_KEY"],
)  # fmt: skip
def test_names_of_secrets_are_refused(name, problems):
    assert problems(trial={"command": ["a"], "env": {name: "hunter2"}}) == [
        f"trial.env.{name}: has the name of a secret: secrets go under trial.secrets, as {{connection: …}}"
    ]
    assert problems(trial={"command": ["a"], "secrets": {name: {"connection": "my_conn"}}}) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TOKENIZERS_PARALLELISM", "false"),
        ("MAX_TOKEN", "512"),
        ("USE_TOKEN", "true"),
        ("COMMIT", "0123456789abcdef0123456789abcdef01234567"),
        ("DIGEST", "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"),
        ("UUID", "123e4567-e89b-12d3-a456-426614174000"),
        ("PYTHONUNBUFFERED", "1"),
        ("LIBRARY", "/usr/local/lib/python3.11/site-packages/xgboost/lib/libxgboost.so"),
        ("MODEL", "sentence-transformers/paraphrase-multilingual-MiniLM-L12-v2"),
        ("URL", "https://example.com/path?a=b"),
        ("TEXT", "a quite long text that says what this program should do, in English"),
        ("SKLEARN", "sk-learn"),
    ],
)
def test_what_only_resembles_a_secret_is_fine(name, value, problems):
    assert problems(trial={"command": ["a", value], "env": {name: value}}) == []


@pytest.mark.parametrize(
    "name",
    ["AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AIRFLOW__CORE__FERNET_KEY", "AIRFLOW_HOME", "HPO_STUDY_DB", "hpo_seed", "PATH", "path", "LD_PRELOAD", "LD_LIBRARY_PATH", "DYLD_INSERT_LIBRARIES", "PYTHONPATH", "PYTHONSTARTUP", "PYTHONHOME", "BASH_ENV", "ENV", "IFS", "HOME", "CUDA_VISIBLE_DEVICES", "_", "A=B", "A B", "1A", "", "É"],
)  # fmt: skip
def test_variables_that_would_change_the_runner_are_refused(name, problems):
    for section, value in (("env", "x"), ("secrets", {"connection": "c"})):
        (line,) = problems(trial={"command": ["a"], section: {name: value}})

        assert line.startswith(f"trial.{section}.{name}: ")


FROM_A_FORM = {
    "backend.type": {},
    "store": {"store": "/etc"},
    "trial.code.dir": {"trial": {"command": ["a"], "code": {"dir": "/etc"}}},
    "trial.secrets": {"trial": {"command": ["a"], "secrets": {"A": {"connection": "c"}}}},
    "trial.inputs.data": {"trial": {"command": ["a"], "inputs": {"data": "/etc/passwd"}}},
}


@pytest.mark.parametrize("field", FROM_A_FORM)
def test_a_form_cannot_reach_into_the_airflow_machine(field, problems, monkeypatch):
    lines = problems(trust=Trust.FORM, **FROM_A_FORM[field])

    assert {line.split(": ")[0] for line in lines} == {"backend.type", field}
    assert all("HPO_ALLOW_LOCAL_ADHOC=1" in line for line in lines)
    assert problems(**FROM_A_FORM[field]) == []
    monkeypatch.setenv("HPO_ALLOW_LOCAL_ADHOC", "1")
    assert problems(trust=Trust.FORM, **FROM_A_FORM[field]) == []


def test_a_relative_folder_has_no_meaning_in_a_form(problems, monkeypatch):
    monkeypatch.setenv("HPO_ALLOW_LOCAL_ADHOC", "1")

    assert problems(trust=Trust.FORM, trial={"command": ["a"], "code": {"dir": "../model"}}) == [
        'trial.code.dir: must be an absolute path in a form, got "../model"'
    ]


def test_import_paths_come_from_files_and_the_allow_list_only(problems, monkeypatch):
    monkeypatch.setenv("HPO_ALLOW_LOCAL_ADHOC", "1")
    sampler = {"optimizer": {"sampler": "my_package.samplers:Mine", "options": {"anything": [1, 2]}}}

    assert problems(**sampler) == []
    assert problems(trust=Trust.FORM, **sampler) == [
        (
            "optimizer.sampler: import paths are taken from study files and HPO_ALLOWED_CLASSES only, got "
            '"my_package.samplers:Mine"'
        )
    ]
    monkeypatch.setenv("HPO_ALLOWED_CLASSES", "other:Class,my_package.samplers:Mine")
    assert problems(trust=Trust.FORM, **sampler) == []


def test_addresses_on_s3_lie_below_the_deployments_prefixes(problems, monkeypatch):
    def asked(uri):
        return problems(store=uri, trial={"command": ["a"], "inputs": {"data": uri}})

    assert asked("s3://other-tenant/x") == []
    monkeypatch.setenv("HPO_ALLOWED_S3", "s3://ours/hpo/, s3://data")
    assert asked("s3://ours/hpo/x") == asked("s3://data/x") == []
    for outside in ("s3://other-tenant/x", "s3://ours/hpo-other/x", "s3://database/x", "s3://ours"):
        assert [line.split(": ")[0] for line in asked(outside)] == ["trial.inputs.data", "store"]


GIT = [
    "ext::sh -c id", "--upload-pack=touch x", "https://user:pw@github.com/a/b", "https://github.com@evil.example/a",
    "http://github.com/a/b", "git@github.com:a/b", "ssh://github.com/a/b", "file:///etc", "https://github.com:8443/a/b",
    "https://127.0.0.1/a", "https://[::1]/a", "https://0x7f.1/a", "https://2130706433/a", "https://localhost/a",
    "https://xn--githb-5ve.com/a", "https://gіthub.com/a/b", "https://github.com/a/../b", "https://github.com/a?x=y",
    "https://github.com/a#x", "https://github.com", "https://github.com/-oProxyCommand", "https://github.com/a b", "",
]  # fmt: skip


@pytest.mark.parametrize("address", GIT)
def test_repositories_are_plain_https_addresses(address, problems):
    code = {"git": address, "ref": "a" * 40}

    lines = problems(trial={"command": ["a"], "code": code})

    assert lines[0].startswith("trial.code.git: must be ")
    assert lines[1] == "trial.code.git: the local backend takes `dir` only in this release"


@pytest.mark.parametrize("ref", ["main", "v1.0", "a" * 39, "A" * 40, "--upload-pack=x", None])
def test_a_repository_is_pinned_to_a_commit(ref, problems):
    code = {"git": "https://github.com/a/b", "ref": ref, "dir": "src", "install": ["bash", "install.sh"]}

    assert problems(trial={"command": ["a"], "code": code}) == [
        "trial.code.ref: must be a full commit id of 40 hexadecimal digits: a branch or tag can move",
        "trial.code.git: the local backend takes `dir` only in this release",
    ]


def test_code_is_looked_for_beside_the_study_file(tmp_path, study):
    from hpo_tasks.errors import SpecError
    from hpo_tasks.spec import load

    folder = tmp_path / "studies"
    folder.mkdir()
    file = folder / "a.json"
    file.write_text(
        '{"name": "a", "objective": {"metric": "m", "direction": "minimize"}, "budget": {"trials": 1},'
        '"search": {"x": {"type": "int", "low": 0, "high": 1}}, "trial": {"command": ["a"], "code": {"dir": "../model"}}}'
    )

    with pytest.raises(SpecError) as caught:
        load(file)
    assert str(caught.value) == (
        'a.json: trial.code.dir: there is no folder "../model" as seen from the study file'
    )
    (tmp_path / "model").mkdir()
    assert load(file).trial.code.dir == "../model"


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("missing.yaml", "missing.yaml: cannot be read: No such file or directory"),
        ("folder.yaml", "folder.yaml: cannot be read: Is a directory"),
        ("study.toml", "study.toml: a study file ends in .yaml, .yml or .json"),
    ],
)
def test_files_that_cannot_be_read_are_named(name, line, tmp_path):
    from hpo_tasks.errors import SpecError
    from hpo_tasks.spec import load

    (tmp_path / "folder.yaml").mkdir()

    with pytest.raises(SpecError) as caught:
        load(tmp_path / name)

    assert str(caught.value).endswith(line)
