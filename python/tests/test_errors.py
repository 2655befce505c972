"""Bad input is an exception that says where and what would work; damaged files never crash; a wrong library is refused."""

import os
import pathlib
import shutil
import subprocess
import sys

import pytest

import hopscope as hs
from conftest import SETTINGS


def test_file_line_and_hint(tmp_path):
    path = tmp_path / "bad.tsv"
    path.write_text("a\tr\tb\nonly one field\n")
    with pytest.raises(hs.DataError) as caught:
        hs.graph(path)
    error = caught.value
    assert isinstance(error, ValueError) and isinstance(error, hs.HopscopeError)
    assert error.file == str(path) and error.line == 2 and error.code == 65 and error.what in str(error)


def test_missing_file_is_an_os_error(tmp_path):
    with pytest.raises(OSError) as caught:
        hs.graph(tmp_path / "missing.tsv")
    assert isinstance(caught.value, hs.FileError) and caught.value.code == 74
    with pytest.raises(hs.FileError):
        hs.open(tmp_path)


def test_unknown_names_get_the_nearest(run, tsv):
    with pytest.raises(hs.DataError) as caught:
        run.ask("person 3", "frend")
    assert caught.value.value == "frend" and "friend" in caught.value.hint
    with pytest.raises(hs.UsageError) as caught:
        hs.Config(tsv, {"train.stepz": 3})
    assert "train.steps" in str(caught.value)
    with pytest.raises(hs.DataError, match="lnes"):
        run.interpret("lnes")


def test_settings_of_another_run(run, tsv):
    with pytest.raises(hs.DataError, match="train.batch"):
        hs.train(tsv, run.folder, {**SETTINGS, "train": {**SETTINGS["train"], "batch": 32}})


def test_bad_arguments(run):
    with pytest.raises(ValueError, match="one length"):
        run.states([("person 3", "friend"), ("person 3", "friend", "boss")])
    with pytest.raises(ValueError, match="no stage"):
        run.patch([("person 3", "friend")], 99, 0, ("person 4", "friend"))
    with pytest.raises(ValueError, match="no position"):
        run.patch([("person 3", "friend")], 1, "q", ("person 4", "friend"))
    with pytest.raises(ValueError, match="vocabulary"):
        run.states([[100000, 0, 0]])
    with pytest.raises(ValueError, match="width"):
        run.read([[1.0, 2.0]])
    with pytest.raises(ValueError, match="no question"):
        run.states([])
    with pytest.raises(hs.DataError):
        run.ask([("person 3",) * 9])
    with pytest.raises(ValueError, match="run=FOLDER"):
        hs.train({"train.steps": 3})


@pytest.mark.parametrize("file", ["experiment.yaml", "dataset/vocab.json", "dataset/test_ii.split", "checkpoints", "run.db"])
def test_damaged_runs(run, tmp_path, file):
    """Cut in the middle and with flipped bytes: an error of ours or, where the damage does not reach it, an answer."""
    for damage in (lambda b: b[: len(b) // 2], lambda b: b[:40] + bytes(255 - x for x in b[40:80]) + b[80:], lambda b: b""):
        folder = tmp_path / "copy"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(run.folder, folder)
        whole = folder / file
        for path in whole.glob("*.safetensors") if whole.is_dir() else [whole]:
            path.write_bytes(damage(path.read_bytes()))
        try:
            hs.open(folder).evaluations
        except hs.HopscopeError as error:
            assert error.what and error.code in (65, 74)
        else:
            assert file in ("run.db", "experiment.yaml", "dataset/vocab.json")


def in_python(code, **environment):
    return subprocess.run([sys.executable, "-c", code], env={**os.environ, **environment}, capture_output=True, text=True)


def test_wrong_library(tmp_path):
    result = in_python("import hopscope", HOPSCOPE_LIBRARY=str(tmp_path / "none.so"))
    assert "ImportError" in result.stderr and "install-deps.sh" in result.stderr
    (tmp_path / "text.so").write_text("no library")
    assert "ImportError" in in_python("import hopscope", HOPSCOPE_LIBRARY=str(tmp_path / "text.so")).stderr
    other = "const char *hs_version(void) { return \"0.0.9\"; } const char *hs_interface(void) { return \"0123456789abcdef\"; }"
    for source, says in ((other, "0.0.9 (interface 0123456789abcdef)"), ("int hs_none;", "without hs_interface")):
        (tmp_path / "other.c").write_text(source)
        library = tmp_path / f"other{len(source)}.so"
        subprocess.run(["cc", "-shared", "-fPIC", "-o", library, tmp_path / "other.c"], check=True)
        result = in_python("import hopscope", HOPSCOPE_LIBRARY=str(library))
        assert "ImportError" in result.stderr and says in result.stderr and "interface" in result.stderr


def test_declarations_are_the_headers(run):
    assert "HS_ERR_IO if the folder holds no run" in hs.c.hs_run_reader_open.__doc__
    assert hs.c.hs_ask.__doc__.startswith("hs_ask(model, data, words, n_words, out)\n\nAsk in words")
    assert "hs_ask: Ask in words" in hs.Run.ask.__doc__
    with pytest.raises(AttributeError):
        hs.c.hs_none
    assert (pathlib.Path(hs.__file__).parent / "py.typed").exists()
