"""Prompts and the visual classifier answer as slow loops and CLIP do."""

from __future__ import annotations

import open_clip
import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from fer_lab.models import CEPrompt
from tests.models.ceprompt.small import (
    DEPTH,
    HEADS,
    LAYERS,
    PATCH,
    PLACES,
    SIDE,
    TEXT_LAYERS,
    WIDTH,
    normalised,
    shaken,
    small,
)


def norm(row, state, name):
    centred = row - row.mean()
    return (
        centred / (row.var(unbiased=False) + 1e-5).sqrt() * state[f"{name}.weight"]
        + state[f"{name}.bias"]
    )


def slow_block(rows, state, name, causal):
    """A transformer block, row by row and head by head."""
    normed = torch.stack([norm(row, state, f"{name}.ln_1") for row in rows])
    joint = normed @ state[f"{name}.attn.in_proj_weight"].T + state[f"{name}.attn.in_proj_bias"]
    query, key, value = joint.chunk(3, dim=1)
    size = rows.shape[1] // HEADS
    read = torch.zeros_like(rows)
    for place in range(len(rows)):
        seen = place + 1 if causal else len(rows)
        for head in range(HEADS):
            part = slice(head * size, (head + 1) * size)
            share = (key[:seen, part] @ query[place, part] / size**0.5).softmax(0)
            read[place, part] = share @ value[:seen, part]
    rows = rows + read @ state[f"{name}.attn.out_proj.weight"].T
    rows = rows + state[f"{name}.attn.out_proj.bias"]
    normed = torch.stack([norm(row, state, f"{name}.ln_2") for row in rows])
    inner = normed @ state[f"{name}.mlp.c_fc.weight"].T + state[f"{name}.mlp.c_fc.bias"]
    inner = inner * (1.702 * inner).sigmoid()
    return rows + inner @ state[f"{name}.mlp.c_proj.weight"].T + state[f"{name}.mlp.c_proj.bias"]


def slow_image(image, state, clip, tuned=0):
    """Embeddings of the class token and of each patch, of one normalised image."""
    patches = [
        (clip["visual.conv1.weight"] * image[:, r : r + PATCH, c : c + PATCH]).sum((1, 2, 3))
        for r in range(0, SIDE, PATCH)
        for c in range(0, SIDE, PATCH)
    ]
    rows = torch.stack([clip["visual.class_embedding"], *patches])
    rows = rows + clip["visual.positional_embedding"]
    rows = torch.stack([norm(row, clip, "visual.ln_pre") for row in rows])
    for layer in range(LAYERS):
        if layer < DEPTH:
            of = "context" if layer == 0 else f"deep.{layer - 1}"
            made = state[f"prompts.{of}"] @ state[f"prompts.projections.{layer}.weight"].T
            made = made + state[f"prompts.projections.{layer}.bias"]
            rows = torch.cat([rows[:1], made, rows[1:] if layer == 0 else rows[3:]])
        own = layer >= LAYERS - tuned
        source = {f"block.{n}": t for n, t in state.items()} if own else clip
        name = f"block.image.tuned.{layer - LAYERS + tuned}" if own else None
        name = name or f"visual.transformer.resblocks.{layer}"
        rows = slow_block(rows, source, name, causal=False)
    rows = torch.stack([norm(row, clip, "visual.ln_post") for row in rows]) @ clip["visual.proj"]
    return rows[0], rows[3:]


def slow_text(text, state, clip):
    """The embedding of one prompt, of unit length."""
    tokens = open_clip.tokenize(text)[0]
    rows = clip["token_embedding.weight"][tokens].clone()
    rows[1:3] = state["prompts.context"]
    rows = rows + clip["positional_embedding"]
    for layer in range(TEXT_LAYERS):
        if 0 < layer < DEPTH:
            rows = rows.clone()
            rows[1:3] = state[f"prompts.deep.{layer - 1}"]
        rows = slow_block(rows, clip, f"transformer.resblocks.{layer}", causal=True)
    found = norm(rows[tokens.argmax()], clip, "ln_final") @ clip["text_projection"]
    return found / found.norm()


def slow_scores(whole, places, texts, top=16, share=0.5):
    cosine = [[torch.cosine_similarity(p, t, dim=0) for t in texts] for p in [whole, *places]]
    cosine = torch.tensor(cosine)
    best = torch.stack([cosine[1:, c].sort(descending=True).values[:top].mean() for c in range(3)])
    return share * best / best.norm() + (1 - share) * cosine[0] / cosine[0].norm()


def test_prompts_answer_as_a_slow_loop_does(published, image):
    clip, file = published
    torch.manual_seed(1)
    model = shaken(small(weights=file)).eval()
    state, towers = model.backbone.state_dict(), clip.state_dict()
    words = ("happy", "surprised", "angry")
    texts = [slow_text(f"a photo of {word}.", state, towers) for word in words]
    torch.testing.assert_close(
        model.backbone.class_embeddings, torch.stack(texts), atol=1e-5, rtol=1e-4
    )
    expected = [slow_scores(*slow_image(i, state, towers), texts) for i in normalised(image)]
    torch.testing.assert_close(model(image), torch.stack(expected), atol=1e-4, rtol=1e-3)
    assert torch.stack(expected).std(0).min() > 1e-3
    # In training the texts are embedded anew, with the same result.
    torch.testing.assert_close(model.train()(image), model.eval()(image), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("tuned", [0, 1, 3])
def test_the_visual_classifier_answers_as_a_slow_loop_does(published, image, tuned):
    clip, file = published
    torch.manual_seed(1)
    model = small(weights=file, tuned_blocks=tuned)
    model.backbone.begin_distilling()
    shaken(model).train()
    state, towers = model.backbone.state_dict(), clip.state_dict()
    logits = model(image)
    lesson = model.backbone.lesson
    texts = model.backbone.class_embeddings
    for row, picture in enumerate(normalised(image)):
        whole, _ = slow_image(picture, state, towers, tuned)
        expected = state["head.weight"] @ whole + state["head.bias"]
        torch.testing.assert_close(logits[row], expected, atol=1e-4, rtol=1e-3)
        taught, places = slow_image(picture, state, towers)
        torch.testing.assert_close(lesson.embedding[row], whole, atol=1e-4, rtol=1e-3)
        torch.testing.assert_close(lesson.taught[row], taught, atol=1e-4, rtol=1e-3)
        scores = slow_scores(taught, places, texts)
        torch.testing.assert_close(lesson.scores[row], scores, atol=1e-4, rtol=1e-3)
    assert not lesson.taught.requires_grad
    torch.testing.assert_close(model.eval()(image), logits, atol=1e-5, rtol=1e-4)


def test_without_learned_tokens_it_is_clip_as_it_is(published, image):
    clip, file = published
    network = small(weights=file, prompt_depth=1, local_share=0.0).eval().backbone
    texts = [f"a photo of {word}." for word in ("happy", "surprised", "angry")]
    none = [torch.zeros(0, WIDTH)]
    with torch.no_grad():
        embedded = clip.encode_text(open_clip.tokenize(texts), normalize=True)
        torch.testing.assert_close(network.class_embeddings, embedded, atol=1e-5, rtol=1e-4)
        pixels = normalised(image)
        tokens = network.image.end(network.image.begin(pixels, none), none, tuned=False)
        torch.testing.assert_close(tokens[:, 0], clip.encode_image(pixels), atol=1e-5, rtol=1e-4)
        zero_shot, _ = clip.get_logits(pixels, open_clip.tokenize(texts))
        found = network.scores(tokens, network.class_embeddings)
        torch.testing.assert_close(found, F.normalize(zero_shot, dim=1), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(("learned", "depth"), [(2, 3), (1, 1), (3, 2)])
def test_tokens_are_inserted_once_then_replaced_and_then_carried(published, image, learned, depth):
    model = small(weights=published[1], prompt_tokens=learned, prompt_depth=depth)
    network = shaken(model).eval().backbone
    read, made = {}, {}

    def watch(name, block):
        block.ln_1.register_forward_pre_hook(lambda _, i: read.setdefault(name, []).append(i[0]))
        block.register_forward_hook(lambda _, __, o: made.setdefault(name, []).append(o))

    for block in network.image.visual.transformer.resblocks:
        watch("image", block)
    for block in network.text.transformer.resblocks:
        watch("text", block)
    with torch.no_grad():
        model(image)
        network.text(network.prompts.text())
        prompts = {"image": network.prompts.image(), "text": network.prompts.text()}
    words = max(map(len, model._rows))
    assert [len(model._rows[c]) - 2 for c in range(3)] == [5, 5, 5]  # a photo of happy .
    places = {"image": 1 + learned + PLACES, "text": words}
    for name, layers in {"image": LAYERS, "text": TEXT_LAYERS}.items():
        assert len(read[name]) == layers
        assert len(prompts[name]) == depth
        for layer, tokens in enumerate(read[name]):
            assert tokens.shape[1] == places[name]
            found = tokens[:, 1 : 1 + learned]
            if layer < depth:
                own = prompts[name][layer]
                if layer == 0 and name == "text":  # only the first ones have a place
                    own = own + network.text.positional_embedding[1 : 1 + learned]
                assert torch.equal(found, own.expand_as(found))
            else:
                assert torch.equal(tokens, made[name][layer - 1])


def test_what_learns_is_as_large_as_counted_by_hand():
    with torch.device("meta"):
        model = CEPrompt(7, classes=[f"class {number}" for number in range(7)])
    # A table of 2 tokens of 512 in 9 layers, and for each layer a linear layer from 512 to 768.
    prompts = 9 * 2 * 512 + 9 * (512 * 768 + 768)
    counts = {
        name: sum(p.numel() for p in m.parameters()) for name, m in model.backbone.named_children()
    }
    tower, words = 63_428_097, 49_408 * 512  # of the text tower, the table of words is not kept
    assert counts == {
        "text": tower - words - 1,  # nor is CLIP's temperature
        "prompts": prompts,
        "image": 86_192_640,
        "head": 513 * 7,
    }
    assert sum(counts.values()) == 127_882_503
    assert sum(p.numel() for p in model.parameters() if p.requires_grad) == prompts + 513 * 7
