"""autograd.profiler and profiler: what ran, how often, inside of what; time itself is not tested."""

import json
import threading

import pytest


def counts(prof):
    return {e.key: e.count for e in prof.key_averages()}


def events(prof):
    return prof.events() if hasattr(prof, "events") else prof.function_events


@pytest.fixture(params=["profiler", "autograd.profiler"])
def profiler(torch, request):
    return torch.profiler if request.param == "profiler" else torch.autograd.profiler


def work(torch):
    x = torch.ones(64, 64, requires_grad=True)
    y = (x @ x).relu().sum()
    y.backward()
    return x


class TestProfile:
    def test_operations_and_nodes(self, torch, profiler):
        with profiler.profile() as prof:
            work(torch)
        found = counts(prof)
        assert found["aten::mm"] >= 1
        for name in ("aten::relu", "aten::sum", "SumBackward0", "ReluBackward0", "MmBackward0"):
            assert found[name] == 1

    def test_all_ways_into_an_operation(self):
        import gradcu as torch

        x = torch.ones(3, requires_grad=True)
        with torch.profiler.profile() as prof:
            2 * (x + 1 - x) / 3
            -x.exp()
            x.detach().add_(1)
            w = torch.ones(3)
            w -= w * 3
            torch.nn.functional.relu(x.double())
        assert counts(prof) == {
            "aten::add": 2,
            "aten::sub": 2,
            "aten::mul": 2,
            "aten::div": 1,
            "aten::neg": 1,
            "aten::exp": 1,
            "aten::to_copy": 1,
            "aten::relu": 1,
        }

    def test_second_order_runs_operations_inside_of_nodes(self, torch, profiler):
        x = torch.ones(3, requires_grad=True)
        with profiler.profile() as prof:
            torch.autograd.grad((x.exp() * x).sum(), x, create_graph=True)
        inside = next(e for e in events(prof) if e.name == "MulBackward0")
        assert "aten::mul" in [e.name for e in inside.cpu_children]

    def test_blocks(self, torch, profiler):
        @profiler.record_function("decorated")
        def decorated():
            torch.ones(2).exp()

        with profiler.profile() as prof:
            with profiler.record_function("outer"), profiler.record_function("inner"):
                torch.ones(2).exp()
            decorated()
            decorated()
        found = counts(prof)
        assert (found["outer"], found["inner"], found["decorated"], found["aten::exp"]) == (1, 1, 2, 3)
        by_name = {e.name: e for e in events(prof)}
        assert by_name["inner"].cpu_parent is by_name["outer"]
        outer, inner = by_name["outer"], by_name["inner"]
        assert outer.time_range.start <= inner.time_range.start <= inner.time_range.end <= outer.time_range.end
        assert outer.cpu_time_total == pytest.approx(
            outer.self_cpu_time_total + sum(e.cpu_time_total for e in outer.cpu_children), rel=1e-3
        )

    def test_blocks_outside_of_a_profile_do_nothing(self, torch, profiler):
        with profiler.record_function("alone"):
            assert torch.ones(1).exp().item() > 2

    def test_shapes_and_memory(self, torch, profiler):
        with profiler.profile(record_shapes=True, profile_memory=True) as prof:
            torch.ones(3, 4) @ torch.ones(4, 5)
            torch.ones(6, 4) @ torch.ones(4, 5)
        averages = prof.key_averages(group_by_input_shape=True)
        products = [e for e in averages if e.key == "aten::mm"]
        assert sorted(e.input_shapes for e in products) == [[[3, 4], [4, 5]], [[6, 4], [4, 5]]]
        assert sorted(e.cpu_memory_usage for e in products) == [60, 120]

    def test_memory_of_backward(self):
        import gradcu as torch

        with torch.profiler.profile(profile_memory=True) as prof:
            work(torch)
        node = next(e for e in events(prof) if e.name == "MmBackward0")
        assert node.cpu_memory_usage == 2 * 64 * 64 * 4

    def test_table(self, torch, profiler):
        with profiler.profile(profile_memory=True) as prof, profiler.record_function("everything"):
            work(torch)
        averages = prof.key_averages()
        table = averages.table(sort_by="cpu_time_total", row_limit=2)
        lines = [line.split() for line in table.splitlines()]
        assert " ".join(lines[1]) == (
            "Name Self CPU % Self CPU CPU total % CPU total CPU time avg CPU Mem Self CPU Mem # of Calls"
        )
        assert lines[3][0] == "everything"
        assert table.count("-" * 12 + "  " + "-" * 12) >= 3
        assert len([line for line in lines if line and not line[0].startswith("-")]) == 4  # a head, two rows, the sum
        assert "Self CPU time total:" in table
        assert "aten::relu" in averages.table(row_limit=-1)
        total = sum(e.self_cpu_time_total for e in averages)
        assert averages.total_average().self_cpu_time_total == pytest.approx(total, rel=1e-3)
        with pytest.raises(AttributeError):
            averages.table(sort_by="nonsense")

    def test_chrome_trace(self, torch, profiler, tmp_path):
        with profiler.profile(record_shapes=True) as prof, profiler.record_function("block"):
            work(torch)
        prof.export_chrome_trace(str(tmp_path / "trace.json"))
        trace = json.loads((tmp_path / "trace.json").read_text())
        events = {e["name"]: e for e in trace["traceEvents"] if e.get("ph") == "X"}
        block, product = events["block"], events["aten::relu"]
        assert block["ts"] <= product["ts"]
        assert product["ts"] + product["dur"] <= block["ts"] + block["dur"]
        assert product["cat"] == "cpu_op"
        assert product["args"]["Input Dims"] == [[64, 64]]

    def test_stacks(self):
        import gradcu as torch

        with torch.profiler.profile(with_stack=True) as prof:
            work(torch)
        averages = prof.key_averages(group_by_stack_n=1)
        assert all(e.stack[0].endswith(": work") for e in averages)
        assert "Source Location" in averages.table()

    def test_nothing_is_left_behind(self):
        import gradcu as torch

        profiler = torch.profiler
        prof = profiler.profile()

        def fail():
            with prof:
                torch.ones(1).exp()
                raise ValueError

        with pytest.raises(ValueError):
            fail()
        torch.ones(1).sin()
        assert counts(prof)["aten::exp"] == 1
        assert "aten::sin" not in counts(prof)

    def test_failing_operations_are_shown(self):
        import gradcu as torch

        with torch.profiler.profile() as prof:
            with pytest.raises(RuntimeError):
                torch.ones(2, 3) @ torch.ones(2, 3)
            torch.ones(1).exp()
        exp = next(e for e in events(prof) if e.name == "aten::exp")
        assert exp.cpu_parent is None

    def test_profile_within_profile(self):
        import gradcu as torch

        with torch.autograd.profiler.profile() as outer:
            torch.ones(1).exp()
            with torch.autograd.profiler.profile() as inner:
                torch.ones(1).sin()
        assert counts(outer) == {"aten::exp": 1, "aten::sin": 1}
        assert counts(inner) == {"aten::sin": 1}

    def test_other_threads_go_on_unseen(self):
        import gradcu as torch

        with torch.profiler.profile() as prof:
            thread = threading.Thread(target=work, args=(torch,))
            thread.start()
            thread.join()
            torch.ones(1).exp()
        assert counts(prof) == {"aten::exp": 1}

    def test_disabled(self):
        import gradcu as torch

        with torch.autograd.profiler.profile(enabled=False) as prof:
            torch.ones(1).exp()
        assert str(prof) == ""


class TestSchedule:
    def test_actions(self, torch):
        action = torch.profiler.schedule(wait=1, warmup=1, active=2, repeat=2, skip_first=1)
        names = [action(i).name for i in range(11)]
        turn = ["NONE", "WARMUP", "RECORD", "RECORD_AND_SAVE"]
        assert names == ["NONE", *turn, *turn, "NONE", "NONE"]

    def test_steps(self):
        import gradcu as torch

        seen = []

        def ready(prof):
            seen.append((prof.step_num, sorted(k for k in counts(prof) if k.startswith(("Prof", "aten::exp")))))

        schedule = torch.profiler.schedule(wait=1, warmup=1, active=2, repeat=2)
        with torch.profiler.profile(
            activities=[torch.profiler.ProfilerActivity.CPU], schedule=schedule, on_trace_ready=ready
        ) as prof:
            for _ in range(10):
                torch.ones(1).exp()
                prof.step()
        assert seen == [
            (4, ["ProfilerStep#2", "ProfilerStep#3", "aten::exp"]),
            (8, ["ProfilerStep#6", "ProfilerStep#7", "aten::exp"]),
        ]

    def test_ready_at_the_end(self, tmp_path):
        import gradcu as torch

        with torch.profiler.profile(
            on_trace_ready=torch.profiler.tensorboard_trace_handler(str(tmp_path / "logs"))
        ) as prof:
            torch.ones(1).exp()
            prof.step()
        (file,) = (tmp_path / "logs").iterdir()
        assert "aten::exp" in file.read_text()

    def test_before_anything_was_recorded(self, torch):
        prof = torch.profiler.profile()
        with pytest.raises(AssertionError, match="Profiler must be initialized"):
            prof.events()
