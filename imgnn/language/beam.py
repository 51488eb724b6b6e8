"""Beam search: the most probable sentences of many images at once."""

import itertools
from dataclasses import dataclass

import numpy as np

from imgnn.errors import InputError
from imgnn.language.rules import Beams, Hypothesis, Rules, check_numbers, make_hypothesis
from imgnn.language.steps import HostStep, State, Step, driver
from imgnn.language.vocabulary import END, START


@dataclass(frozen=True)
class BeamOptions(Rules):
    """What `beam_search` may be told.

    Sentences are ordered by `log_prob / length ** length_penalty`, where the length counts END: im2txt's
    length_normalization_factor.
    """

    beam_width: int = 3  # hypotheses that are followed for each image; 1: greedy search
    length_penalty: float = 0.0  # 0: the sum alone, which prefers short sentences; 1: the mean of the tokens
    groups: int = 1  # beams apart from each other that share the width: diverse beam search
    diversity: float = 0.5  # taken from a token's log_prob for each hypothesis of an earlier group that has it here
    n: int | None = None  # sentences for each image, at most; None: all that were kept, up to the width

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.beam_width < 1 or self.groups < 1 or self.beam_width % self.groups:
            raise InputError(f"a beam of {self.beam_width} is not shared evenly by {self.groups} groups")
        if self.length_penalty < 0 or self.diversity < 0:
            raise InputError(
                f"length penalty and diversity are 0 or more, not {self.length_penalty:g} and {self.diversity:g}"
            )
        if self.n is not None and self.n < 1:
            raise InputError(f"at least 1 sentence is wanted of each image, not {self.n}")


def beam_search(step: Step | HostStep, state: State, *, images: int, options: BeamOptions | None = None) -> Beams:
    """The best sentences of each image, the best first.

    In each step the `beam_width` best continuations of all hypotheses of an image are kept. Those that end are put
    aside, the others go on, until none of them can come before the worst of `beam_width` that were put aside, or until
    `max_length`. Where no sentence came to an end, the unfinished ones are given. Of equal ones the earlier hypothesis,
    then the lower token comes first: an image gets the same sentences alone and among others.

    With groups, each is such a search of its own with its share of the width; in each step they choose one after the
    other, by `log_prob` minus the diversity, and their sentences are put together. Scores are without the diversity.

    Args:
        step: a step function; see `imgnn.language.steps`.
        state: before the first step, of each image: `(images, ...)`.
        images: how many.

    Raises:
        DivergedError: the model answers with nan.

    Source: Sequence to Sequence Learning with Neural Networks, arXiv:1409.3215, section 3.2 (hypotheses that end leave
    the beam); the groups: Diverse Beam Search, arXiv:1610.02424, with its Hamming diversity.
    """
    options = options or BeamOptions()
    run = driver(step)
    groups, width = options.groups, options.beam_width // options.groups
    rows = images * options.beam_width
    # So many of each row that `width` are left when all are taken away that rules or earlier groups are against.
    count = options.beam_width + options.most_forbidden

    state = run.rows(state, np.repeat(np.arange(images), options.beam_width))
    last, parents = np.full(rows, START, "int32"), np.arange(rows)
    tokens = np.zeros((images, groups, width, 0), "int32")
    log_probs = np.zeros((images, groups, width, 0), "float32")
    sums = np.full((images, groups, width), -np.inf)  # of a hypothesis's log_probs; -inf: there is none
    sums[:, :, 0] = 0.0
    kept = Kept(images, groups, width, options)

    for length in range(options.max_length):
        if not np.isfinite(sums).any():
            break
        best, ids, state = run.best(count, last, parents, state)
        check_numbers(best, length)
        forbidden = options.forbidden(tokens.reshape(rows, length))
        best = np.where((ids[:, :, None] == forbidden[:, None]).any(axis=2), -np.inf, best)
        best, ids = (each.reshape(images, groups, width, -1) for each in (best, ids))

        candidates = sums[..., None] + best
        chosen = choose(candidates, ids, options.diversity)
        parent = chosen // ids.shape[-1]
        new_sums, new_tokens, new_log_probs = (
            np.take_along_axis(each.reshape(images, groups, -1), chosen, axis=2) for each in (candidates, ids, best)
        )
        goes_on = np.isfinite(new_sums)
        stuck = np.isfinite(sums) & ~goes_on.any(axis=2, keepdims=True)  # the rules leave no token
        kept.add_unfinished(stuck, tokens, log_probs)

        tokens, log_probs = (
            np.concatenate([np.take_along_axis(old, parent[..., None], axis=2), new[..., None]], axis=3)
            for old, new in ((tokens, new_tokens), (log_probs, new_log_probs))
        )
        ends = goes_on & (new_tokens == END)
        kept.add_finished(ends, tokens, log_probs)
        sums = np.where(goes_on & ~ends, new_sums, -np.inf)
        # A log_prob is at most 0, so that a sum only falls; the length makes up most for it if it is the largest.
        bound = sums.max(axis=2) / options.max_length**options.length_penalty
        sums[bound <= kept.worst] = -np.inf
        last = new_tokens.reshape(rows)
        parents = (parent + width * np.arange(images * groups).reshape(images, groups, 1)).reshape(rows)
    kept.add_unfinished(np.isfinite(sums), tokens, log_probs)
    return kept.results()


def choose(candidates: np.ndarray, ids: np.ndarray, diversity: float) -> np.ndarray:
    """The best continuations of each beam.

    Args:
        candidates: `(images, groups, width, count)`, log_prob of the hypothesis with this token; -inf: impossible.
        ids: the tokens, of the same shape.
        diversity: as in `BeamOptions`.

    Returns:
        `(images, groups, width)`, places in the flattened `(width, count)`, the best first.
    """
    images, groups, width, _ = candidates.shape
    candidates, ids = candidates.reshape(images, groups, -1), ids.reshape(images, groups, -1)
    chosen = np.zeros((images, groups, width), int)
    said = np.full((images, groups, width), -1)  # -1: a place that stays empty says nothing
    for group in range(groups):
        earlier = said[:, :group].reshape(images, 1, -1)
        penalty = diversity * (ids[:, group, :, None] == earlier).sum(axis=2)
        order = np.argsort(penalty - candidates[:, group], axis=1, kind="stable")[:, :width]
        chosen[:, group] = order
        possible = np.isfinite(np.take_along_axis(candidates[:, group], order, axis=1))
        words = np.take_along_axis(ids[:, group], order, axis=1)
        said[:, group] = np.where(possible & (words != END), words, -1)  # two sentences may be of the same length
    return chosen


class Kept:
    """The sentences that were put aside.

    Attributes:
        worst: `(images, groups)`, the lowest score of those that came to an end; -inf while there is room for more.
    """

    def __init__(self, images: int, groups: int, width: int, options: BeamOptions) -> None:
        self.width, self.options = width, options
        self.finished: list[list[list[Hypothesis]]] = [[[] for _ in range(groups)] for _ in range(images)]
        self.unfinished: Beams = [[] for _ in range(images)]
        self.worst = np.full((images, groups), -np.inf)

    def add_finished(self, which: np.ndarray, tokens: np.ndarray, log_probs: np.ndarray) -> None:
        """Put sentences aside that end, the best of each group.

        Args:
            which: bool `(images, groups, width)`.
            tokens: `(images, groups, width, length)`, as `log_probs`.
        """
        for image, group, place in np.argwhere(which):
            best = self.finished[image][group]
            at = (image, group, place)
            best.append(make_hypothesis(tokens[at], log_probs[at], self.options.length_penalty))
            best.sort(key=lambda each: -each.score)
            del best[self.width :]
            if len(best) == self.width:
                self.worst[image, group] = best[-1].score

    def add_unfinished(self, which: np.ndarray, tokens: np.ndarray, log_probs: np.ndarray) -> None:
        """Put sentences aside that stop in the middle; arguments as in `add_finished`."""
        for image, group, place in np.argwhere(which):
            at = (image, group, place)
            self.unfinished[image].append(make_hypothesis(tokens[at], log_probs[at], self.options.length_penalty))

    def results(self) -> Beams:
        """Of each image, the best first, what two groups found once.

        Where fewer are wanted than there are, the best of each group come before any group's second: by their
        scores alone, the first group, which nothing was taken from, would give them all.
        """
        return [self.best_of(*each) for each in zip(self.finished, self.unfinished, strict=True)]

    def best_of(self, groups: list[list[Hypothesis]], unfinished: list[Hypothesis]) -> list[Hypothesis]:
        """The sentences of one image."""
        in_turn = [each for rank in itertools.zip_longest(*groups) for each in rank if each is not None]
        distinct: dict[tuple[int, ...], Hypothesis] = {}
        for each in in_turn or sorted(unfinished, key=lambda each: -each.score):
            distinct.setdefault(each.tokens, each)
        return sorted(list(distinct.values())[: self.options.n], key=lambda each: -each.score)
