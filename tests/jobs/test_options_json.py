import dataclasses
import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imgnn import options
from imgnn.errors import InputError
from imgnn.jobs.options_json import from_json, to_json
from imgnn.options import FinetuneOptions, LayerChoice, StyleOptions

KINDS = [each for each in vars(options).values() if dataclasses.is_dataclass(each) and each is not LayerChoice]
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_options_come_back_from_json_as_they_were(kind, data, tmp_path_factory):
    root = tmp_path_factory.getbasetemp().resolve()
    st.register_type_strategy(float, NUMBERS)
    st.register_type_strategy(Path, st.sampled_from([root / "a", root / "b c", root / "ü"]))
    given_options = data.draw(st.builds(kind, **{field.name: ... for field in dataclasses.fields(kind)}))
    stored = json.loads(json.dumps(to_json(given_options)))
    assert from_json(kind, stored) == given_options


def test_paths_are_stored_from_the_root(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert to_json(FinetuneOptions(val=Path("val.txt")))["val"] == str(tmp_path.resolve() / "val.txt")


def test_what_is_not_stored_has_its_default():
    assert from_json(StyleOptions, {"size": 64}) == StyleOptions(size=64)


def test_options_that_there_are_no_more_are_told():
    with pytest.raises(InputError, match="of another imgnn: there is no colour, zoo any more"):
        from_json(StyleOptions, {"size": 64, "zoo": 1, "colour": 2})
