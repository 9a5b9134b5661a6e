"""What an archive holds, and what results are called: as the local plan has it."""

import socket
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from derain import pictures
from derain.cluster.listing import Archive, Item, Passed, Refused, list_items
from derain.cluster.places import Contents, Entry, Local, Place, Remote, open_place
from derain.errors import DerainError, UsageError
from derain.files import SCORES
from derain.images import Format, write_image
from derain.pictures import Options

PICTURE = np.zeros((4, 4, 3), np.uint8)
FORMATS: list[Format | None] = [None, "JPEG", "PNG"]


def archive_of(source: Path, output: Path, format: Format | None = None) -> Archive:
    return Archive(Local(str(source)), Local(str(output)), format)


def found(archive: Archive) -> tuple[dict[str, str], list[str], Passed]:
    """Return results by picture, what is refused, and what was passed over."""
    passed = Passed()
    items: dict[str, str] = {}
    refused: list[str] = []
    for one in list_items(archive, passed):
        if isinstance(one, Item):
            items[one.path] = one.target
        else:
            refused.append(one.path)
    return items, refused, passed


def draw(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"picture")


FOLDERS = ["", "a/", "a/b/", "c_derained/", ".hidden/", "@eaDir/"]
STEMS = ["1", "2", "10", "x_derained", "x", "._x", "y_compare"]
SUFFIXES = [".jpg", ".JPG", ".jpeg", ".png", ".webp", ".tif", ".txt", ".gif", ""]
NAMES = st.lists(
    st.tuples(*map(st.sampled_from, (FOLDERS, STEMS, SUFFIXES))).map("".join),
    min_size=1,
    max_size=12,
    unique=True,
)


@given(names=NAMES, format=st.sampled_from(FORMATS))
def test_pictures_and_results_are_those_of_the_local_plan(
    names: list[str], format: Format | None, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("archive")
    source, output = folder / "in", folder / "out"
    draw(source, *names)
    plan = pictures.plan(source, output, Options(format=format))
    items, refused, passed = found(archive_of(source, output, format))
    expected = {
        job.source.relative_to(source).as_posix(): job.target.relative_to(output).as_posix()
        for job in plan.jobs
    }
    assert items == expected
    # In the same order, too.
    assert list(items) == list(expected)
    jobless = {path for path, _ in plan.refused if path != source}
    assert {source / name for name in refused} == jobless
    # Folders of results are not looked into.
    if plan.jobs and not any(name.startswith("c_derained") for name in names):
        assert passed.others == plan.others.total()


def test_of_two_pictures_for_one_name_the_second_is_refused_as_locally(tmp_path: Path) -> None:
    draw(tmp_path / "in", "a.jpg", "a.png", "b.png")
    archive = archive_of(tmp_path / "in", tmp_path / "out", "JPEG")
    refused = [one for one in list_items(archive) if isinstance(one, Refused)]
    plan = pictures.plan(tmp_path / "in", tmp_path / "out", Options(format="JPEG"))
    assert [one.path for one in refused] == ["a.png"]
    assert refused[0].message == "would become a.jpg, which a.jpg needs; give them folders of" + (
        " their own"
    )
    assert str(plan.refused[0][1]).endswith("; give them folders of their own")


def test_a_result_of_derain_gives_way_to_a_picture(tmp_path: Path) -> None:
    from derain.images import read
    from derain.pictures.single import file_of_result

    (tmp_path / "in").mkdir()
    write_image(tmp_path / "in/a.png", PICTURE)
    data, _ = file_of_result(read(tmp_path / "in/a.png"), "JPEG")
    (tmp_path / "in/a.jpg").write_bytes(data)
    items, refused, passed = found(archive_of(tmp_path / "in", tmp_path / "out", "JPEG"))
    assert (items, refused, passed.results) == ({"a.png": "a.jpg"}, [], 1)


def test_results_inside_the_archive_are_no_input(tmp_path: Path) -> None:
    draw(tmp_path / "in", "a.jpg", "done/a.jpg", "done/deep/b.jpg", ".derain/manifest/x.jpg")
    items, _, passed = found(archive_of(tmp_path / "in", tmp_path / "in/done"))
    assert items == {"a.jpg": "a.jpg"}
    assert passed.results == 1


def test_saved_results_of_an_evaluation_are_no_input(tmp_path: Path) -> None:
    draw(tmp_path / "in", "a.jpg", f"out/m/set/{SCORES}", "out/m/set/b.png", "out/m/set/in/c.png")
    items, _, _ = found(archive_of(tmp_path / "in", tmp_path / "results"))
    plan = pictures.plan(tmp_path / "in", tmp_path / "results")
    assert list(items) == [job.source.name for job in plan.jobs] == ["a.jpg"]


def test_results_do_not_go_among_their_pictures(tmp_path: Path) -> None:
    draw(tmp_path / "in", "a.jpg")
    (tmp_path / "link").symlink_to(tmp_path / "in")
    for output in ("in", "link", "in/../in"):
        with pytest.raises(UsageError, match=r"output=.*: is the archive itself"):
            archive_of(tmp_path / "in", tmp_path / output).check()


def test_nothing_there_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for name in ("nothing", "empty"):
        with pytest.raises(DerainError, match="no such folder, or nothing in it"):
            list(list_items(archive_of(tmp_path / name, tmp_path / "out")))


def test_clips_are_found_by_name(tmp_path: Path) -> None:
    draw(tmp_path / "in", "yard.avi", "yard.mp4", "yard_derained.mp4", "yard_preview.mp4", "a.jpg")
    draw(tmp_path / "out", "yard_derained.mkv")
    given_items = list(list_items(archive_of(tmp_path / "in", tmp_path / "out")))
    clips = [one for one in given_items if isinstance(one, Item) and one.kind == "clip"]
    assert [(one.path, one.target, one.there) for one in clips] == [
        ("yard.avi", "yard_derained.mp4", 7)
    ]
    assert [one.path for one in given_items if isinstance(one, Refused)] == ["yard.mp4"]


def test_a_folder_that_cannot_be_listed_is_named_and_others_are_done(tmp_path: Path) -> None:
    class Broken(Local):
        def contents(self, folder: str) -> Contents:
            if folder == "b":
                raise PermissionError(13, "Permission denied", "b")
            return super().contents(folder)

    draw(tmp_path / "in", "a/1.jpg", "b/2.jpg", "c/3.jpg")
    archive = Archive(Broken(str(tmp_path / "in")), Local(str(tmp_path / "out")))
    items, refused, _ = found(archive)
    assert list(items) == ["a/1.jpg", "c/3.jpg"]
    assert refused == ["b"]


def test_names_that_are_no_text_are_refused(tmp_path: Path) -> None:
    class Odd(Local):
        def contents(self, folder: str) -> Contents:
            return Contents([Entry("caf\udce9.jpg", 1, 1), Entry("b.jpg", 1, 1)], [])

    archive = Archive(Odd(str(tmp_path)), Local(str(tmp_path / "out")))
    items, refused, _ = found(archive)
    assert (list(items), refused) == (["b.jpg"], ["caf\udce9.jpg"])


def test_no_more_than_one_folder_is_held(tmp_path: Path) -> None:
    seen: list[str] = []

    class Watched(Local):
        def contents(self, folder: str) -> Contents:
            seen.append(folder)
            return super().contents(folder)

    draw(tmp_path / "in", "a/1.jpg", "b/2.jpg", "c/3.jpg")
    archive = Archive(Watched(str(tmp_path / "in")), Local(str(tmp_path / "out")))
    iterator = iter(list_items(archive))
    next(iterator)
    assert seen == ["", "a"]


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("", "expected a folder or an address"),
        ("-", "expected a folder or an address"),
        ("s3://", "expected a bucket after ://"),
        ("s3://b/x?regoin=eu", "regoin: expected one of .*; did you mean region"),
    ],
)
def test_places_that_cannot_be_meant(url: str, message: str) -> None:
    with pytest.raises(DerainError, match=message):
        open_place(url, "source")


@pytest.mark.parametrize(
    ("endpoint", "reason"),
    [
        ("http://127.0.0.1:9", "Connection refused"),
        ("127.0.0.1:9", "Connection refused"),
        ("127.0.0.1:99999", "Port out of range"),
        ("http://", "no host"),
        ("http://no-such-host.invalid", "http://no-such-host.invalid"),
    ],
)
def test_a_store_that_does_not_listen_is_named(endpoint: str, reason: str) -> None:
    place = open_place(f"s3://bucket/rainy?endpoint_override={endpoint}", "source")
    with pytest.raises(DerainError, match=f"no store answers at .*{reason}.*S3 endpoint"):
        place.check_answers()


def test_what_listens_is_a_store_so_far(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        endpoint = f"http://127.0.0.1:{listening.getsockname()[1]}"
        open_place(f"s3://bucket/x?endpoint_override={endpoint}", "source").check_answers()
    open_place("s3://bucket/x", "source").check_answers()
    open_place(str(tmp_path), "source").check_answers()


def test_places_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    assert isinstance(open_place(str(tmp_path), "source"), Local)
    assert isinstance(open_place(f"file://{tmp_path}", "source"), Local)
    one = open_place("s3://bucket/rainy//day/", "source")
    assert isinstance(one, Remote)
    assert one.shown("a b.jpg") == "s3://bucket/rainy/day/a b.jpg"
    assert open_place("s3://bucket/rainy/day/out", "output").inside(one) == "out"
    assert open_place("gs://bucket/rainy/day/out", "output").inside(one) is None
    assert Local(str(tmp_path)).inside(one) is None


def test_a_place_of_this_machine(tmp_path: Path) -> None:
    place: Place = Local(str(tmp_path / "new"))
    assert place.contents("") == Contents([], [])
    place.write("a/b.txt", b"1")
    place.write("a/b.txt", b"12")
    (entry,) = place.contents("a").files
    assert (entry.name, entry.size) == ("b.txt", 2)
    assert entry.modified == (tmp_path / "new/a/b.txt").stat().st_mtime_ns
    assert place.contents("").folders == ["a"]
    place.fetch("a/b.txt", tmp_path / "copy.txt")
    assert (tmp_path / "copy.txt").read_bytes() == b"12"
    assert place.shown("a/b.txt") == str(tmp_path / "new/a/b.txt")
    place.remove_folder("a")
    assert place.contents("").folders == ["a"]
    place.remove("a/b.txt")
    place.remove("a/b.txt")
    place.remove_folder("a")
    assert place.contents("").folders == []


def test_links_to_themselves_are_passed_over(tmp_path: Path) -> None:
    draw(tmp_path / "in", "1.png", "deep/2.png")
    for folder in ("in", "in/deep"):
        (tmp_path / folder / "self").symlink_to("self")
    items, refused, _ = found(archive_of(tmp_path / "in", tmp_path / "out"))
    assert sorted(items) == ["1.png", "deep/2.png"]
    assert refused == []


def test_no_result_takes_the_place_of_a_picture_of_the_archive(tmp_path: Path) -> None:
    draw(tmp_path / "rainy", "x.png", "rainy/x.png")
    items, refused, _ = found(archive_of(tmp_path / "rainy", tmp_path))
    assert items == {"x.png": "x.png"}
    assert refused == ["rainy/x.png"]


def test_addresses_of_files_are_absolute(tmp_path: Path) -> None:
    draw(tmp_path / "a b", "x#1.png")
    for start in ("file://", "file://localhost"):
        place = open_place(f"{start}{tmp_path}/a%20b", "source")
        assert [entry.name for entry in place.contents("").files] == ["x#1.png"]
    for address in ("file://in", "file://"):
        with pytest.raises(DerainError, match="three slashes"):
            open_place(address, "source")


def test_a_file_is_no_place(tmp_path: Path) -> None:
    draw(tmp_path, "a.png")
    with pytest.raises(DerainError, match="a file; expected a folder"):
        open_place(str(tmp_path / "a.png"), "source")
    with pytest.raises(UsageError) as raised:
        open_place(str(tmp_path / "a.png"), "output")
    assert raised.value.option == "output"
