"""Graph networks: convolution by torch.sparse.mm, attention by a masked softmax, messages by scatter_add and index_add."""

import math

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.nn.modules.module import Module
from torch.nn.parameter import Parameter

N, FEATURES, CLASSES = 30, 12, 4


class GraphConvolution(Module):
    def __init__(self, in_features, out_features, bias=True):
        super().__init__()
        self.weight = Parameter(torch.FloatTensor(in_features, out_features))
        if bias:
            self.bias = Parameter(torch.FloatTensor(out_features))
        else:
            self.register_parameter("bias", None)
        self.reset_parameters()

    def reset_parameters(self):
        stdv = 1.0 / math.sqrt(self.weight.size(1))
        self.weight.data.uniform_(-stdv, stdv)
        if self.bias is not None:
            self.bias.data.uniform_(-stdv, stdv)

    def forward(self, input, adj):
        support = torch.mm(input, self.weight)
        output = torch.spmm(adj, support)
        return output + self.bias if self.bias is not None else output


class GCN(nn.Module):
    def __init__(self):
        super().__init__()
        self.gc1, self.gc2 = GraphConvolution(FEATURES, 16), GraphConvolution(16, CLASSES, bias=False)

    def forward(self, x, adj):
        x = F.dropout(F.relu(self.gc1(x, adj)), 0.5, training=self.training)
        return F.log_softmax(self.gc2(x, adj), dim=1)


class GraphAttentionLayer(nn.Module):
    def __init__(self, in_features, out_features, alpha, concat=True):
        super().__init__()
        self.out_features, self.concat = out_features, concat
        self.W = nn.Parameter(torch.empty(size=(in_features, out_features)))
        nn.init.xavier_uniform_(self.W.data, gain=1.414)
        self.a = nn.Parameter(torch.empty(size=(2 * out_features, 1)))
        nn.init.xavier_uniform_(self.a.data, gain=1.414)
        self.leakyrelu = nn.LeakyReLU(alpha)

    def forward(self, h, adj):
        Wh = torch.mm(h, self.W)
        Wh1, Wh2 = Wh @ self.a[: self.out_features, :], Wh @ self.a[self.out_features :, :]
        e = self.leakyrelu(Wh1 + Wh2.T)
        zero_vec = -9e15 * torch.ones_like(e)
        attention = F.softmax(torch.where(adj.to_dense() > 0, e, zero_vec), dim=1)
        h_prime = torch.matmul(attention, Wh)
        return F.elu(h_prime) if self.concat else h_prime


class GAT(nn.Module):
    def __init__(self, nheads=2):
        super().__init__()
        self.attentions = [GraphAttentionLayer(FEATURES, 8, 0.2) for _ in range(nheads)]
        for i, attention in enumerate(self.attentions):
            self.add_module(f"attention_{i}", attention)
        self.out_att = GraphAttentionLayer(8 * nheads, CLASSES, 0.2, concat=False)

    def forward(self, x, adj):
        x = torch.cat([att(x, adj) for att in self.attentions], dim=1)
        return F.log_softmax(F.elu(self.out_att(x, adj)), dim=1)


class MessagePassing(nn.Module):
    def __init__(self):
        super().__init__()
        self.message, self.update = nn.Linear(2 * FEATURES, 16), nn.GRUCell(16, FEATURES)
        self.readout = nn.Linear(FEATURES, CLASSES)

    def forward(self, x, adj):
        source, target = adj.coalesce().indices()
        messages = self.message(torch.cat([x[target], x[source]], dim=-1)).relu()
        summed = torch.zeros(N, 16).scatter_add_(0, target.unsqueeze(-1).expand_as(messages), messages)
        degree = torch.zeros(N).index_add_(0, target, torch.ones(target.size(0))).clamp_(min=1)
        x = self.update(summed / degree[:, None], x)
        return self.readout(x).log_softmax(-1)


def accuracy(output, labels):
    preds = output.max(1)[1].type_as(labels)
    return preds.eq(labels).double().sum() / len(labels)


def losses():
    rng = np.random.default_rng(0)
    dense = (rng.random((N, N)) < 0.15) | np.eye(N, dtype=bool)
    rows, cols = dense.nonzero()
    values = torch.from_numpy((1 / dense.sum(1))[rows].astype(np.float32))
    adj = torch.sparse_coo_tensor(torch.from_numpy(np.vstack((rows, cols)).astype(np.int64)), values, (N, N))
    features = torch.FloatTensor(rng.standard_normal((N, FEATURES)))
    labels, idx_train = torch.LongTensor(rng.integers(0, CLASSES, N)), torch.arange(20)
    out = []
    for model in (GCN(), GAT(), MessagePassing()):
        optimizer = torch.optim.Adam(model.parameters(), lr=0.01, weight_decay=5e-4)
        for _ in range(12):
            model.train()
            optimizer.zero_grad()
            output = model(features, adj)
            loss_train = F.nll_loss(output[idx_train], labels[idx_train])
            loss_train.backward()
            optimizer.step()
            out += [loss_train.item(), accuracy(output[20:], labels[20:])]
    return out
