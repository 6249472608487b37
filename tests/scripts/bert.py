"""Masked language modelling: extended attention masks from finfo.min, tied decoder, checkpointed layers, no-decay names."""

import math

import numpy as np
import torch
import torch.utils.checkpoint
from torch import nn
from torch.nn import CrossEntropyLoss

VOCAB, MASK, PAD = 40, 1, 0


class Embeddings(nn.Module):
    def __init__(self, hidden, positions=16):
        super().__init__()
        self.word_embeddings = nn.Embedding(VOCAB, hidden, padding_idx=PAD)
        self.position_embeddings = nn.Embedding(positions, hidden)
        self.token_type_embeddings = nn.Embedding(2, hidden)
        self.LayerNorm = nn.LayerNorm(hidden, eps=1e-12)
        self.dropout = nn.Dropout(0.1)
        self.register_buffer("position_ids", torch.arange(positions).expand((1, -1)), persistent=False)

    def forward(self, input_ids, token_type_ids=None):
        position_ids = self.position_ids[:, : input_ids.size(1)]
        if token_type_ids is None:
            token_type_ids = torch.zeros(input_ids.size(), dtype=torch.long, device=self.position_ids.device)
        embeddings = self.word_embeddings(input_ids) + self.token_type_embeddings(token_type_ids)
        embeddings += self.position_embeddings(position_ids)
        return self.dropout(self.LayerNorm(embeddings))


class Layer(nn.Module):
    def __init__(self, hidden, heads):
        super().__init__()
        self.heads, self.size = heads, hidden // heads
        self.query, self.key, self.value = (nn.Linear(hidden, hidden) for _ in range(3))
        self.output, self.LayerNorm1 = nn.Linear(hidden, hidden), nn.LayerNorm(hidden, eps=1e-12)
        self.up, self.down = nn.Linear(hidden, 4 * hidden), nn.Linear(4 * hidden, hidden)
        self.LayerNorm2 = nn.LayerNorm(hidden, eps=1e-12)

    def transpose_for_scores(self, x):
        new_x_shape = x.size()[:-1] + (self.heads, self.size)
        return x.view(new_x_shape).permute(0, 2, 1, 3)

    def forward(self, hidden_states, attention_mask):
        q, k, v = (self.transpose_for_scores(f(hidden_states)) for f in (self.query, self.key, self.value))
        scores = torch.matmul(q, k.transpose(-1, -2)) / math.sqrt(self.size) + attention_mask
        context = torch.matmul(nn.functional.softmax(scores, dim=-1), v).permute(0, 2, 1, 3).contiguous()
        context = context.view(context.size()[:-2] + (self.heads * self.size,))
        hidden_states = self.LayerNorm1(self.output(context) + hidden_states)
        return self.LayerNorm2(self.down(nn.functional.gelu(self.up(hidden_states))) + hidden_states)


class MaskedLM(nn.Module):
    def __init__(self, hidden=32):
        super().__init__()
        self.embeddings, self.gradient_checkpointing = Embeddings(hidden), False
        self.layer = nn.ModuleList([Layer(hidden, 4) for _ in range(2)])
        self.decoder = nn.Linear(hidden, VOCAB, bias=False)
        self.bias = nn.Parameter(torch.zeros(VOCAB))
        self.decoder.weight, self.decoder.bias = self.embeddings.word_embeddings.weight, self.bias
        self.apply(self._init_weights)

    def _init_weights(self, module):
        if isinstance(module, nn.Linear):
            module.weight.data.normal_(mean=0.0, std=0.02)
            if module.bias is not None:
                module.bias.data.zero_()
        elif isinstance(module, nn.Embedding):
            module.weight.data.normal_(mean=0.0, std=0.02)
            if module.padding_idx is not None:
                module.weight.data[module.padding_idx].zero_()

    @property
    def dtype(self):
        return next(self.parameters()).dtype

    def forward(self, input_ids, attention_mask, labels=None):
        extended = attention_mask[:, None, None, :].to(dtype=self.dtype)
        extended = (1.0 - extended) * torch.finfo(self.dtype).min
        hidden_states, all_hidden = self.embeddings(input_ids), ()
        for module in self.layer:
            all_hidden = all_hidden + (hidden_states,)
            if self.gradient_checkpointing and self.training:
                hidden_states = torch.utils.checkpoint.checkpoint(module, hidden_states, extended, use_reentrant=False)
            else:
                hidden_states = module(hidden_states, extended)
        prediction_scores = self.decoder(hidden_states)
        if labels is None:
            return prediction_scores, all_hidden
        return CrossEntropyLoss()(prediction_scores.view(-1, VOCAB), labels.view(-1))


def mask_tokens(inputs, mlm_probability=0.3):
    labels = inputs.clone()
    probability_matrix = torch.full(labels.shape, mlm_probability)
    probability_matrix.masked_fill_(inputs == PAD, value=0.0)
    masked_indices = torch.bernoulli(probability_matrix).bool()
    labels[~masked_indices] = -100
    indices_replaced = torch.bernoulli(torch.full(labels.shape, 0.8)).bool() & masked_indices
    inputs[indices_replaced] = MASK
    indices_random = torch.bernoulli(torch.full(labels.shape, 0.5)).bool() & masked_indices & ~indices_replaced
    random_words = torch.randint(VOCAB, labels.shape, dtype=torch.long)
    inputs[indices_random] = random_words[indices_random]
    return inputs, labels


def losses():
    rng, out = np.random.default_rng(0), []
    tokens = torch.from_numpy(rng.integers(2, VOCAB, (6, 12)))
    attention_mask = (torch.arange(12)[None] < torch.from_numpy(rng.integers(5, 13, (6, 1)))).long()
    tokens = tokens * attention_mask
    for checkpointing in (False, True):
        model = MaskedLM()
        model.gradient_checkpointing = checkpointing
        no_decay = ["bias", "LayerNorm"]
        named = list(model.named_parameters())
        groups = [
            {"params": [p for n, p in named if not any(nd in n for nd in no_decay)], "weight_decay": 0.01},
            {"params": [p for n, p in named if any(nd in n for nd in no_decay)], "weight_decay": 0.0},
        ]
        optimizer = torch.optim.AdamW(groups, lr=2e-3, eps=1e-8)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda s: max(0.0, (10 - s) / 10) if s > 1 else s / 2 + 0.5
        )
        model.train()
        for step in range(8):
            inputs, labels = mask_tokens(tokens.clone())
            loss = model(inputs, attention_mask=attention_mask, labels=labels) / 2
            loss.backward()
            out.append(loss.item())
            if (step + 1) % 2 == 0:
                torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()
                schedule.step()
                model.zero_grad()
    model.eval()
    with torch.no_grad():
        scores, hidden = model(tokens, attention_mask)
    perplexity = torch.exp(nn.functional.cross_entropy(scores.view(-1, VOCAB), tokens.view(-1), ignore_index=PAD))
    return [*out, perplexity.item(), *[h[attention_mask.bool()].norm() for h in hidden]]
