"""The table of a model's layers."""

import pytest

import gradcu
from gradcu import nn
from gradcu.utils import summary


def model():
    shared = nn.Linear(6, 6)
    head = nn.Sequential(nn.ReLU(), nn.Flatten())
    return nn.Sequential(nn.Conv2d(1, 2, 3), head, nn.Linear(8, 6), shared, nn.Dropout(0.5), shared)


def test_layers_are_listed_as_they_are_called_with_shapes_and_counts():
    net = model().train()
    net[0].weight.requires_grad_(False)
    found = summary(net, (5, 1, 4, 4))
    assert [(x.depth, x.kind, x.name, x.output, x.parameters, x.repeated) for x in found.layers] == [
        (0, "Sequential", "", "[5, 6]", 0, False),
        (1, "Conv2d", "0", "[5, 2, 2, 2]", 20, False),
        (1, "Sequential", "1", "[5, 8]", 0, False),
        (2, "ReLU", "0", "[5, 2, 2, 2]", 0, False),
        (2, "Flatten", "1", "[5, 8]", 0, False),
        (1, "Linear", "2", "[5, 6]", 54, False),
        (1, "Linear", "3", "[5, 6]", 42, False),
        (1, "Dropout", "4", "[5, 6]", 0, False),
        (1, "Linear", "3", "[5, 6]", 42, True),
    ]
    assert (found.total_params, found.trainable_params, found.param_bytes) == (116, 98, 464)
    assert found.input_bytes == 5 * 16 * 4
    assert "Linear (3)" in str(found)
    assert "Parameters: 116\nTrainable: 98\nNot trainable: 18" in str(found)


def test_the_model_stays_as_it_is():
    net = model().train()
    net[4].eval()
    summary(net, (5, 1, 4, 4))
    assert (net.training, net[0].training, net[4].training) == (True, True, False)
    assert all(len(m._forward_hooks) == len(m._forward_pre_hooks) == 0 for m in net.modules())


def test_inputs_are_given_or_made_or_left_out():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed = nn.Embedding(3, 2)

        def forward(self, index, x):
            return {"sum": self.embed(index) + x, "x": x}

    made = summary(Two(), [(4,), (4, 2)], dtypes=[gradcu.int64, gradcu.float32])
    given = summary(Two(), input_data=[gradcu.tensor([0, 2]), gradcu.ones(2, 2)])
    assert made.layers[0].output == "[4, 2], [4, 2]"
    assert given.layers[1].output == "[2, 2]"
    assert [(x.kind, x.output) for x in summary(Two()).layers] == [("Two", "--"), ("Embedding", "--")]
    assert len(summary(model(), (1, 1, 4, 4), depth=1).layers) == 7


def test_mistakes_are_refused():
    with pytest.raises(ValueError, match="mode must be"):
        summary(model(), (1, 1, 4, 4), mode="test")
    with pytest.raises(ValueError, match="not both"):
        summary(model(), (1, 1, 4, 4), gradcu.ones(1))
