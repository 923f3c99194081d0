import pytest

from builder.output.assemble import assemble
from builder.plan.graph import NodeId, Plan
from layers.image import History, ImageConfig, encode
from tests.support.plans import BUILDKIT, PLATFORM, diff_id, layer, make_plan, metadata

NOW = 9_000.0
BASE = ImageConfig(
    PLATFORM,
    env=(("PATH", "/bin"),),
    diff_ids=(diff_id(1),),
    history=(
        History("2020-01-01T00:00:00.500000Z", "ADD rootfs"),
        History("2020-01-02T00:00:00+00:00", "CMD sh", empty_layer=True),
    ),
    created="2020-01-02T00:00:00Z",
    extra={"docker_version": "20"},
    config_extra={"Hostname": "abc"},
)


def finished(plan: Plan) -> dict[NodeId, float]:
    """The step of node n ends at n * 1000 seconds."""
    return {node: node * 1000.0 for node in plan.layers}


def dates(config: ImageConfig) -> list[str | None]:
    return [entry.created for entry in config.history]


def at(seconds: int) -> str:
    return f"1970-01-01T00:{seconds // 60:02}:{seconds % 60:02}Z"


def test_the_whole_config() -> None:
    plan = make_plan([(metadata("ENV A=1"), False), (layer("RUN x # buildkit"), True)])
    config = assemble(plan, [diff_id(1)], {NodeId(1): 1_700_000_000.25}, NOW)
    assert encode(config) == (
        b'{"architecture":"amd64","config":{"WorkingDir":"/"},"created":"2023-11-14T22:13:20.25Z","history":['
        b'{"created":"2023-11-14T22:13:20.25Z","created_by":"ENV A=1","comment":"buildkit.dockerfile.v0",'
        b'"empty_layer":true},{"created":"2023-11-14T22:13:20.25Z","created_by":"RUN x # buildkit","comment":'
        b'"buildkit.dockerfile.v0"}],"os":"linux","rootfs":{"type":"layers","diff_ids":["%b"]}}'
        % str(diff_id(1)).encode()
    )


def test_metadata_takes_the_date_of_the_layer_before_or_the_first_one() -> None:
    plan = make_plan(
        [
            (metadata("ENV A=1"), False),
            (layer("RUN 1"), True),
            (metadata("ENV B=1"), False),
            (layer("RUN 2"), True),
            (metadata("CMD x"), False),
        ]
    )
    config = assemble(plan, [diff_id(1), diff_id(2)], finished(plan), NOW)
    assert dates(config) == [at(1000), at(1000), at(1000), at(2000), at(2000)]
    assert config.created == at(2000)
    assert [entry.empty_layer for entry in config.history] == [True, False, True, False, True]
    assert {entry.comment for entry in config.history} == {BUILDKIT}


def test_metadata_alone_takes_the_date_of_the_base() -> None:
    plan = make_plan([(metadata("ENV A=1"), False)], base=BASE)
    config = assemble(plan, [diff_id(1)], {}, NOW)
    assert dates(config) == ["2020-01-01T00:00:00.5Z", "2020-01-02T00:00:00Z", "2020-01-02T00:00:00Z"]
    assert config.created == "2020-01-02T00:00:00Z"


def test_metadata_after_a_base_takes_the_date_of_the_first_new_layer() -> None:
    plan = make_plan([(metadata("ENV A=1"), False), (layer("RUN 1"), True)], base=BASE)
    config = assemble(plan, [diff_id(1), diff_id(2)], finished(plan), NOW)
    assert dates(config)[2:] == [at(1000), at(1000)]


def test_a_bare_from_keeps_the_base_but_for_what_only_other_builders_write() -> None:
    plan = make_plan([], base=BASE)
    config = assemble(plan, [diff_id(1)], {}, NOW)
    normal = BASE.history[1]._replace(created="2020-01-02T00:00:00Z")
    first = BASE.history[0]._replace(created="2020-01-01T00:00:00.5Z")
    assert config == BASE._replace(history=(first, normal), extra={}, config_extra={})


def test_scratch_with_nothing_has_no_date_and_no_lists() -> None:
    raw = encode(assemble(make_plan([]), [], {}, NOW))
    assert b'"created":null,"history":null' in raw
    assert b'"diff_ids":null' in raw


def test_metadata_without_any_layer_has_no_dates() -> None:
    config = assemble(make_plan([(metadata("ENV A=1"), False)]), [], {}, NOW)
    assert dates(config) == [None]
    assert config.created is None


def test_with_an_epoch_everything_this_build_adds_has_its_date() -> None:
    added = [(metadata("ENV A=1"), False), (layer("RUN 1"), True), (metadata("CMD x"), False)]
    config = assemble(make_plan(added, base=BASE, epoch=60), [diff_id(1), diff_id(2)], {}, NOW)
    assert dates(config) == ["2020-01-01T00:00:00.5Z", "2020-01-02T00:00:00Z", at(60), at(60), at(60)]
    assert config.created == at(60)


def test_with_an_epoch_a_bare_from_keeps_later_dates() -> None:
    config = assemble(make_plan([], base=BASE, epoch=60), [diff_id(1)], {}, NOW)
    assert config.created == "2020-01-02T00:00:00Z"


def test_an_epoch_before_1970() -> None:
    config = assemble(make_plan([(layer("RUN 1"), True)], epoch=-1), [diff_id(1)], {}, NOW)
    assert config.created == "1969-12-31T23:59:59Z"


def test_layers_nobody_speaks_of_get_entries_at_the_end() -> None:
    silent = BASE._replace(history=(), diff_ids=(diff_id(1), diff_id(2)))
    plan = make_plan([(layer("RUN 1"), True)], base=silent)
    config = assemble(plan, [diff_id(1), diff_id(2), diff_id(3)], finished(plan), NOW)
    assert [(entry.created_by, entry.comment, entry.created) for entry in config.history] == [
        ("RUN 1", BUILDKIT, at(1000)),
        ("pulled from docker.io/library/base:1", "buildkit.exporter.image.v0", at(1000)),
        ("[stage-0 2/9] RUN 1", "buildkit.exporter.image.v0", at(1000)),
    ]


def test_what_fills_a_gap_is_clamped_to_the_epoch() -> None:
    silent = BASE._replace(history=())
    plan = make_plan([(layer("RUN 1"), True)], base=silent, epoch=60)
    config = assemble(plan, [diff_id(1), diff_id(2)], finished(plan), NOW)
    assert dates(config) == [at(60), at(60)]


def test_a_history_of_more_layers_than_there_are() -> None:
    wordy = BASE._replace(history=(*BASE.history, History("2020-01-03T00:00:00Z", "ADD more")))
    config = assemble(make_plan([], base=wordy), [diff_id(1)], {}, NOW)
    assert [entry.empty_layer for entry in config.history] == [False, True, True]


def test_a_step_whose_end_is_not_known_ended_now() -> None:
    config = assemble(make_plan([(layer("RUN 1"), True)]), [diff_id(1)], {}, NOW)
    assert config.created == "1970-01-01T02:30:00Z"


@pytest.mark.parametrize("epoch", [None, 60])
def test_counts_agree_whatever_the_epoch(epoch: int | None) -> None:
    plan = make_plan([(layer("RUN 1"), True), (metadata("ENV"), False)], base=BASE, epoch=epoch)
    config = assemble(plan, [diff_id(1), diff_id(2)], finished(plan), NOW)
    assert sum(not entry.empty_layer for entry in config.history) == len(config.diff_ids) == 2
