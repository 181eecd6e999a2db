"""YAML as kubectl reads it, with the place of everything."""

from pathlib import Path

import pytest

from testbed.spec.source import LARGEST_FILE_BYTES, SourceFile, read_file, read_text
from testbed.spec.tree import Place, ScalarNode, descend, key_path, locate, plain, tree_of, with_value


def only(text: str) -> object:
    source = read_text(text, "a.yaml")
    assert not source.findings
    (document,) = source.documents
    return plain(document)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("yes", True), ("Off", False), ("on", True), ("n", False),
        ("~", None), ("null", None), ("NULL", None),
        ("010", 8), ("0o10", 8), ("0x1F", 31), ("0b11", 3), ("1_000", 1000), ("-5", -5), ("+5", 5),
        ("08", 8.0),
        ("1.10", 1.1), ("1e3", 1000.0), (".5", 0.5),
        ("2024-01-01", "2024-01-01"), ("1:30", "1:30"), ("10.96.0.1", "10.96.0.1"), ("1.2.3", "1.2.3"),
        ("10M", "10M"), ("'yes'", "yes"), ('"5"', "5"), ("-", [None]), ("!!str 5", "5"), ("!!int 5", 5),
        ("=", "="), ("nope", "nope"), ("|\n  a\n  b\n", "a\nb\n"), (".", "."),
    ],
)  # fmt: skip
def test_plain_words_mean_what_kubectl_takes_them_for(text: str, value: object) -> None:
    expected = tuple(value) if isinstance(value, list) else value
    assert only(f"key: {text}" if text != "-" else "key:\n  -\n") == {"key": expected}


def test_keys_become_text_as_in_json() -> None:
    assert only("{1: a, true: b, 2.5: c, ~: d, x: e}") == {
        "1": "a",
        "true": "b",
        "2.5": "c",
        "null": "d",
        "x": "e",
    }


def test_documents_are_separate_and_empty_ones_are_left_out() -> None:
    source = read_text("---\na: 1\n---\n---\n# only this\n---\nb: 2\n...\n", "a.yaml")
    assert [plain(document) for document in source.documents] == [{"a": 1}, {"b": 2}]


def test_anchors_and_merge_keys() -> None:
    text = "base: &b {a: 1, b: 2}\nmore: &m {c: 3, a: 9}\nall: {<<: [*b, *m], b: 5}\nsame: *b\n"
    value = only(text)
    assert isinstance(value, dict)
    assert value["all"] == {"a": 1, "b": 5, "c": 3}
    assert value["same"] == {"a": 1, "b": 2}


def test_anchors_end_with_their_document() -> None:
    source = read_text("a: &x 1\n---\nb: *x\n", "a.yaml")
    assert [str(item) for item in source.findings] == ["a.yaml:3:4: the alias *x has no anchor &x before it"]
    assert len(source.documents) == 1


def test_every_duplicate_is_reported() -> None:
    source = read_text("a: 1\nb: {c: 1, c: 2}\na: 2\n", "a.yaml")
    assert [(item.line, item.column) for item in source.findings] == [(2, 11), (3, 1)]


def test_places_of_keys_and_values() -> None:
    (root,) = read_text("a:\n  - b: 1\n    c: {d: 2}\n", "a.yaml").documents
    assert locate(root, ("a", 0, "b"))[0] == Place("a.yaml", 2, 8)
    assert locate(root, ("a", 0, "c"))[0] == Place("a.yaml", 3, 5)
    assert locate(root, ("a", 0, "c", "d"), at_key=True)[0] == Place("a.yaml", 3, 9)
    assert locate(root, ("a", 0))[0] == Place("a.yaml", 2, 5)
    assert locate(root, ("a", 0, "c", "missing", 3)) == (Place("a.yaml", 3, 5), ("a", 0, "c", "missing", 3))


def test_a_value_may_be_replaced_and_the_rest_is_shared() -> None:
    root = tree_of({"a": [{"b": 1}], "c": {"d": None}}, "x")
    value = ScalarNode(Place("y"), 5)
    changed = with_value(with_value(root, ("a", 0, "b"), value), ("c", "d", "e"), value)
    assert plain(changed) == {"a": ({"b": 5},), "c": {"d": {"e": 5}}}
    assert plain(root) == {"a": ({"b": 1},), "c": {"d": None}}
    assert descend(with_value(root, ("c", "d"), value), "a") is descend(root, "a")
    with pytest.raises(LookupError):
        with_value(root, ("a", 1, "b"), value)


def test_key_paths() -> None:
    assert key_path(("spec", "ports", 0, "name")) == "spec.ports[0].name"
    assert key_path(("metadata", "labels", "a.b/c")) == 'metadata.labels["a.b/c"]'


def reasons(source: SourceFile) -> list[str]:
    return [str(item) for item in source.findings]


def test_files_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    assert reasons(read_file("none.yaml")) == ["none.yaml: there is no such file; check the path"]
    assert reasons(read_file("folder")) == [
        "folder: this is a directory; a YAML file is expected; name the files in it"
    ]
    assert reasons(read_file("a\0b")) == ["a\0b: the file cannot be read (the path is not valid)"]


def test_an_endless_file_is_not_read_to_its_end() -> None:
    limit = LARGEST_FILE_BYTES // 2**20
    assert reasons(read_file("/dev/zero")) == [
        f"/dev/zero: the file is too large; at most {limit} MiB are read"
    ]


def test_a_byte_order_mark_is_no_content(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_bytes(b"\xef\xbb\xbfa: 1\n")
    assert [plain(document) for document in read_file(file).documents] == [{"a": 1}]


def test_documents_before_a_broken_one_are_kept() -> None:
    source = read_text("a: 1\n---\nb: [\n", "a.yaml")
    assert [plain(document) for document in source.documents] == [{"a": 1}]
    assert len(source.findings) == 1
