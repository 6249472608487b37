"""The character MLP with parameters in a list: batch norm by hand, retain_grad, no optimizer, `p.data += -lr * p.grad`."""

import torch
import torch.nn.functional as F

WORDS = "emma olivia ava isabella sophia mia charlotte amelia harper evelyn abigail emily luna ella avery".split()


def losses():
    chars = sorted(set("".join(WORDS)))
    stoi = {s: i + 1 for i, s in enumerate(chars)}
    stoi["."] = 0
    vocab_size, block_size, n_embd, n_hidden = len(stoi), 3, 10, 32
    N = torch.zeros((vocab_size, vocab_size), dtype=torch.int32)
    X, Y = [], []
    for w in WORDS:
        context = [0] * block_size
        for ch in w + ".":
            ix = stoi[ch]
            N[context[-1], ix] += 1
            X.append(context)
            Y.append(ix)
            context = context[1:] + [ix]
    X, Y = torch.tensor(X), torch.tensor(Y)
    P = (N + 1).float()
    P /= P.sum(1, keepdim=True)
    out = [-P[X[:, -1], Y].log().mean().item()]

    g = torch.Generator().manual_seed(2147483647)
    xenc = F.one_hot(X[:, -1], num_classes=vocab_size).float()
    W = torch.randn((vocab_size, vocab_size), generator=g, requires_grad=True)
    for _ in range(5):
        counts = (xenc @ W).exp()
        probs = counts / counts.sum(1, keepdims=True)
        loss = -probs[torch.arange(len(Y)), Y].log().mean() + 0.01 * (W**2).mean()
        W.grad = None
        loss.backward()
        W.data += -10 * W.grad
        out.append(loss.item())

    C = torch.randn((vocab_size, n_embd), generator=g)
    W1 = torch.randn((n_embd * block_size, n_hidden), generator=g) * (5 / 3) / ((n_embd * block_size) ** 0.5)
    W2 = torch.randn((n_hidden, vocab_size), generator=g) * 0.01
    b2 = torch.randn(vocab_size, generator=g) * 0
    bngain, bnbias = torch.ones((1, n_hidden)), torch.zeros((1, n_hidden))
    bnmean_running, bnstd_running = torch.zeros((1, n_hidden)), torch.ones((1, n_hidden))
    parameters = [C, W1, W2, b2, bngain, bnbias]
    out.append(sum(p.nelement() for p in parameters))
    for p in parameters:
        p.requires_grad = True
    for i in range(15):
        ix = torch.randint(0, X.shape[0], (32,), generator=g)
        Xb, Yb = X[ix], Y[ix]
        emb = C[Xb]
        embcat = emb.view(emb.shape[0], -1)
        hpreact = embcat @ W1
        bnmeani, bnstdi = hpreact.mean(0, keepdim=True), hpreact.std(0, keepdim=True)
        hpreact = bngain * (hpreact - bnmeani) / bnstdi + bnbias
        with torch.no_grad():
            bnmean_running = 0.999 * bnmean_running + 0.001 * bnmeani
            bnstd_running = 0.999 * bnstd_running + 0.001 * bnstdi
        h = torch.tanh(hpreact)
        h.retain_grad()
        logits = h @ W2 + b2
        loss = F.cross_entropy(logits, Yb)
        for p in parameters:
            p.grad = None
        loss.backward()
        lr = 0.1 if i < 10 else 0.01
        for p in parameters:
            p.data += -lr * p.grad
        update = [((lr * p.grad).std() / p.data.std()).log10().item() for p in parameters[:3]]
        out += [loss.log10().item(), (h.abs() > 0.97).float().mean().item() + h.grad.std().item(), *update]
    return out
