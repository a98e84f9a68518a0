"""Which DAG a study file is, and how the embedded Airflow gets to see it."""

from pathlib import Path

import pytest

from hpo_tasks.cli.study_file import locate, make_visible
from hpo_tasks.errors import InputError
from hpo_tasks.flow.embedded.home import Home


@pytest.fixture
def places(tmp_path: Path) -> tuple[Home, Path, Path]:
    """(home, DAGs folder, a folder elsewhere)."""
    dags, elsewhere = tmp_path / "dags", tmp_path / "elsewhere"
    (dags / "studies").mkdir(parents=True)
    elsewhere.mkdir()
    return Home(tmp_path / "home"), dags, elsewhere


def written(path: Path) -> Path:
    path.write_text("name: x")
    return path


def test_a_file_in_the_dags_folder_needs_no_link(places: tuple[Home, Path, Path]) -> None:
    home, dags, elsewhere = places
    own = written(dags / "studies" / "demo.yaml")
    found = locate(own, home, dags)
    assert (found.dag_id, found.link) == ("hpo_demo", None)
    alias = elsewhere / "demo.yaml"
    alias.symlink_to(own)
    assert locate(alias, home, dags) == found
    make_visible(found)
    assert not home.studies.exists()


def test_another_file_is_linked_into_the_home_once(
    places: tuple[Home, Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    home, dags, elsewhere = places
    written(elsewhere / "mine.yaml")
    monkeypatch.chdir(elsewhere)
    for _ in range(2):
        found = locate(Path("mine.yaml"), home, dags)
        make_visible(found)
    assert found.dag_id == "hpo_mine"
    assert [path.readlink() for path in home.studies.iterdir()] == [elsewhere / "mine.yaml"]


@pytest.mark.parametrize("other", ["mine.yaml", "mine.json", "mine.yml"])
def test_a_second_file_of_the_same_name_is_refused(places: tuple[Home, Path, Path], other: str) -> None:
    home, dags, elsewhere = places
    (elsewhere / "a").mkdir()
    first, second = written(elsewhere / "a" / "mine.yaml"), written(elsewhere / other.replace("yaml", "json"))
    make_visible(locate(first, home, dags))
    with pytest.raises(InputError, match="hpo_mine") as refused:
        locate(second, home, dags)
    assert str(first) in str(refused.value)
    assert str(second) in str(refused.value)


def test_a_name_that_the_dags_folder_has_is_refused(places: tuple[Home, Path, Path]) -> None:
    home, dags, elsewhere = places
    own, other = written(dags / "studies" / "demo.json"), written(elsewhere / "demo.yaml")
    with pytest.raises(InputError) as refused:
        locate(other, home, dags)
    assert str(own) in str(refused.value)
    assert str(other) in str(refused.value)


def test_a_link_whose_file_is_gone_gives_its_name_back(places: tuple[Home, Path, Path]) -> None:
    home, dags, elsewhere = places
    (elsewhere / "moved").mkdir()
    make_visible(locate(written(elsewhere / "mine.yaml"), home, dags))
    moved = (elsewhere / "mine.yaml").rename(elsewhere / "moved" / "mine.yaml")
    make_visible(locate(moved, home, dags))
    assert (home.studies / "mine.yaml").resolve() == moved


@pytest.mark.parametrize(
    "name", ["a b.yaml", "adhoc.yaml", ".hidden.yaml", "naïve.yaml", f"{'x' * 200}.yaml", "a;b.yaml"]
)
def test_a_name_that_is_no_dag_id_is_refused(places: tuple[Home, Path, Path], name: str) -> None:
    home, dags, elsewhere = places
    with pytest.raises(InputError, match="rename the file"):
        locate(written(elsewhere / name), home, dags)
