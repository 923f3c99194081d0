from builder.plan.graph import AddOp, CopyOp, ImageOp, LocalOp, NodeId, ScratchOp
from builder.plan.nodes import NodeTable, Shown


def table() -> NodeTable:
    return NodeTable(use_cache=True)


def test_numbers_start_at_1_and_grow() -> None:
    nodes = table()
    assert nodes.add(ScratchOp(), (), Shown("a")) == 1
    assert nodes.add(LocalOp("x"), (), Shown("b")) == 2


def test_equal_operations_on_equal_inputs_are_one_node() -> None:
    nodes = table()
    base = nodes.add(ScratchOp(), (), Shown("base"))
    copy = CopyOp(("a",), "/a", None, None, keep_owner=False)
    first = nodes.add(copy, (base,), Shown("first", "s", 1, 2))
    assert nodes.add(copy, (base,), Shown("second", "t", 2, 2)) == first
    assert nodes.nodes[first].title == "first"
    assert nodes.add(copy, (first,), Shown("third")) != first


def test_operations_that_are_equal_as_tuples_are_not_the_same() -> None:
    nodes = table()
    fields = (("a",), "/a", None, None, False)
    assert nodes.add(CopyOp(*fields), (), Shown("copy")) != nodes.add(AddOp(*fields), (), Shown("add"))


def test_one_image_under_two_names_is_one_node() -> None:
    nodes = table()
    first = nodes.add(ImageOp("a", (), (), ()), (), Shown("FROM a"))
    assert nodes.add(ImageOp("b", (), (), ()), (), Shown("FROM b")) == first


def test_a_source_is_shown_in_the_stage_that_stands_on_it() -> None:
    nodes = table()
    image = ImageOp("a", (), (), ())
    node = nodes.add(image, (), Shown("FROM a"))
    nodes.add(image, (), Shown("FROM a", "build", 1, 3))
    nodes.add(image, (), Shown("FROM a", "later", 1, 1))
    assert (nodes.nodes[node].stage, nodes.nodes[node].position, nodes.nodes[node].total) == ("build", 1, 3)


def test_chain() -> None:
    nodes = table()
    base = nodes.add(ScratchOp(), (), Shown("base"))
    context = nodes.add(LocalOp("context"), (), Shown("context"))
    first = nodes.add(CopyOp(("a",), "/a", None, None, False), (base, context), Shown("1"))
    second = nodes.add(CopyOp(("b",), "/b", None, None, False), (first, context), Shown("2"))
    assert nodes.chain(second) == (base, first, second)
    assert nodes.chain(base) == (NodeId(1),)
