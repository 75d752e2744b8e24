import hashlib
import io
import zipfile

from runtime.stub_index import stub_wheel, write_stub_index


def test_stubs_hold_metadata_and_dependencies(wheelhouse):
    data = stub_wheel(wheelhouse.distribution.packages["alpha"])
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        metadata = archive.read("alpha-1.5.dist-info/METADATA").decode()
        assert len(archive.namelist()) == 3
    assert metadata == "Metadata-Version: 2.1\nName: alpha\nVersion: 1.5\nRequires-Dist: beta\n"


def test_stubs_have_the_same_bytes_on_every_machine(wheelhouse):
    digest = hashlib.sha256(stub_wheel(wheelhouse.distribution.packages["alpha"])).hexdigest()
    assert digest == "daea8596a135255f634e221740837cf5e702f991fb47f774bc42647fc390b1de"


def test_only_installable_packages_are_offered_and_nothing_else_stays(wheelhouse, tmp_path):
    directory = write_stub_index(wheelhouse.distribution, tmp_path)
    names = sorted(path.name for path in directory.iterdir())
    assert names == ["alpha-1.5-py3-none-any.whl", "beta-2.0-py3-none-any.whl", "gamma-3.0-py3-none-any.whl"]
    assert [path.name for path in directory.parent.iterdir()] == [directory.name]


def test_a_second_call_writes_nothing(wheelhouse, tmp_path):
    directory = write_stub_index(wheelhouse.distribution, tmp_path)
    (directory / "alpha-1.5-py3-none-any.whl").unlink()
    assert write_stub_index(wheelhouse.distribution, tmp_path) == directory
    assert not (directory / "alpha-1.5-py3-none-any.whl").exists()
