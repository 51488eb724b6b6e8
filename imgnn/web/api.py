"""What goes into the API of `imgnn serve` and what comes out, with every limit; /api/openapi.json is made of it.

    GET    /api/state                 State
    POST   /api/session               Session -> 204 and a cookie
    GET    /api/data                  Data
    POST   /api/generate              GenerateRequest (JSON) -> Generated
    GET    /api/pictures/{id}         a JPEG
    POST   /api/playground            PlaygroundForm (multipart) -> Played
    POST   /api/rate                  Rating (JSON) -> Rated
    POST   /api/studio                StudioForm (multipart) -> Job, 201
    GET    /api/studio                Jobs
    GET    /api/studio/{id}           Job
    GET    /api/studio/{id}/picture   a PNG; 404 before there is one
    DELETE /api/studio/{id}           Job, of one that was cancelled; 204, of one that left the gallery

Whatever is refused or fails is a `Problem`, with a status of 4xx or 5xx: 400 another host, or a picture that cannot be
read; 401 no token; 403 another site asks; 404; 409 it cannot be done now; 413 too many bytes; 422 a value is out of its
range; 429 and 503 too many at once, or the models are loading: `Retry-After` says in how many seconds to ask again.
"""

from typing import Annotated, Literal

from fastapi import Path as InAddress
from fastapi import UploadFile
from pydantic import BaseModel, ConfigDict, Field

MIB = 1 << 20
MAX_PICTURE = 20 * MIB  # bytes of an upload
MAX_STYLES = 4
MAX_JSON = 16 << 10  # bytes of a JSON body
MAX_UPLOAD_PIXELS = 50_000_000  # 150 MB decoded; telephones' usual 12 and 48 megapixels pass
SHOWN = 800  # pixels, the long side of a known picture as it is sent
MOST_AT_ONCE = 12  # pictures in one Generate
MOST_LINES = 10  # of one picture
MAX_TEXT = 500  # characters of a boke that is rated
MAX_SEED = 2**31 - 1
MAX_SIDE = 1024  # pixels, the long side of a studio's picture
QUEUE = 8  # jobs of the studio that wait or run

Mode = Literal["model", "mismatch", "retrieve"]
Split = Literal["train", "val"]
Kind = Literal["caption", "boke"]  # of a model
StudioKind = Literal["style", "dream"]
JobState = Literal["waiting", "running", "done", "cancelled", "failed"]
Value = Literal[1, -1, 0]
JobId = Annotated[str, InAddress(pattern="^[0-9a-f]{16}$", description="Of a job of the studio.")]
PictureId = Annotated[int, InAddress(ge=0, le=MAX_SEED, description="Of a picture that a model knows.")]


class Answer(BaseModel):
    """What comes out."""


class Request(BaseModel):
    """What goes in; a name that is not known is refused."""

    model_config = ConfigDict(extra="forbid")


class Problem(Answer):
    """Why something was refused or failed."""

    detail: str = Field(description="One sentence; `loading` while the models are loaded.")


# ---- state


class Model(Answer):
    """A model that speaks."""

    kind: Kind
    name: str = Field(description="Of its run's folder.")
    network: str = Field(description="What looks at pictures for it.")
    tokenizer: str
    packaged: bool = Field(description="It came with imgnn, without the pictures and sentences of its training.")
    pictures: dict[Split, int] = Field(description="Known pictures; none of a run that keeps none.")


class Limits(Answer):
    """What is accepted."""

    picture_bytes: int = MAX_PICTURE
    picture_pixels: int = MAX_UPLOAD_PIXELS
    formats: list[str] = ["image/jpeg", "image/png", "image/webp", "image/gif"]
    pictures_at_once: int = MOST_AT_ONCE
    lines: int = MOST_LINES
    styles: int = MAX_STYLES
    side: int = MAX_SIDE
    queue: int = QUEUE


class State(Answer):
    """What the server is and has. Asked first, and again while `loading`."""

    version: str
    status: Literal["loading", "ready", "failed"] = Field(description="Of the models.")
    problem: str | None = Field(None, description="Why it failed.")
    models: list[Model]
    modes: list[Mode] = Field(description="Those that the models are able to; the first is the default.")
    captions: bool = Field(description="Whether the playground gives captions.")
    networks: dict[StudioKind, list[str]] = Field(
        description="Those whose weights are on this machine; the first is the default. None: the studio is closed."
    )
    limits: Limits = Limits()
    token: bool = Field(description="Whether a token is needed; whoever reads this has given it.")


class Session(Request):
    """The token that `imgnn serve` printed; the answer's cookie stands for it from then on."""

    token: str = Field(min_length=1, max_length=200)


# ---- data


class Part(Answer):
    """How much there is of a split."""

    boke: int
    images: int


class Bar(Answer):
    """One bar of a histogram."""

    label: str = Field(description="What it counts: '7', '8-10', '100-999', 'unknown'.")
    train: int
    val: int


class Epoch(Answer):
    """One epoch of the log."""

    epoch: int
    loss: float | None = Field(description="Nats per token, of the training.")
    val_loss: float | None
    floor: float | None = Field(None, description="Below it the loss cannot fall: several texts share a picture.")


class Data(Answer):
    """What the model was trained on, and how that went."""

    model: str = Field(description="The run's name.")
    kind: Kind
    vocabulary: int = Field(description="Tokens.")
    train: Part
    val: Part
    boke_per_image: list[Bar]
    lengths: list[Bar] = Field(description="Tokens of a boke.")
    stars: list[Bar] = Field(description="Empty where nobody was asked.")
    average_loss: list[float] = Field(description="Of each epoch, butsugiri/bokete's average_loss.log.")
    average_loss_floor: float | None = Field(None, description="Below it that cannot fall.")
    epochs: list[Epoch]


# ---- sentences


class Settings(Request):
    """How sentences are made. Each mode takes what it can use of them."""

    mode: Mode | None = Field(None, description="None: the models' first.")
    n: int = Field(5, ge=1, le=MOST_LINES, description="Sentences for each picture.")
    temperature: float = Field(0.8, ge=0.05, le=2.0, description="More dares more. Of mode model.")
    top_p: float = Field(0.9, ge=0.05, le=1.0, description="Only the most probable tokens. Of mode model.")
    beam: int = Field(5, ge=1, le=20, description="Hypotheses that are followed. Of captions.")
    distance: Literal["far", "middle"] = Field("far", description="To the picture that lends. Of mode mismatch.")
    contrast: float = Field(0.0, ge=0.0, le=1.0, description="Away from what is said of any picture.")
    seed: int = Field(0, ge=0, le=MAX_SEED, description="Another one, other sentences.")


class Nearest(Answer):
    """The known sentence that is most like a new one."""

    text: str
    similarity: float = Field(description="Of pairs of characters, 0..1.")
    stars: int | None


class Donor(Answer):
    """The picture that a sentence was lent by."""

    name: str
    distance: float = Field(description="Cosine distance, 0..2.")
    image: str | None = Field(description="Where to get it; none if it is gone.")


class Line(Answer):
    """A boke that was made."""

    text: str
    mode: Mode
    log_prob: float | None = Field(description="Natural logarithm; None of a sentence that is retrieved.")
    per_token: float | None
    novel: bool | None = Field(description="Not among the training sentences; None: these are not known.")
    nearest: Nearest | None
    donor: Donor | None = Field(description="Of the modes mismatch and retrieve.")
    rating: Value = Field(0, description="What was thought of it for this picture before.")


class Caption(Answer):
    """A sentence that describes."""

    text: str
    log_prob: float
    per_token: float


class Reference(Answer):
    """What people wrote."""

    text: str
    stars: int | None


class GenerateRequest(Settings):
    """Boke for the next known pictures of a split."""

    split: Split = "val"
    offset: int = Field(0, ge=0, le=MAX_SEED, description="Where to begin: 0, or `more` of the last answer.")
    count: int = Field(2, ge=1, le=MOST_AT_ONCE, description="Pictures.")


class Item(Answer):
    """A known picture, what the model says and what people said."""

    id: int
    width: int = Field(description="Pixels, as it is sent.")
    height: int
    image: str = Field(description="/api/pictures/ID")
    boke: list[Line]
    references: list[Reference] = Field(description="The best five by stars.")
    note: str | None = Field(None, description="Why there are fewer boke than asked for.")


class Generated(Answer):
    """Boke for known pictures."""

    items: list[Item]
    more: int | None = Field(description="The next offset; None at the end.")
    total: int = Field(description="Pictures of the split.")
    gone: int = Field(description="Pictures passed over: their files are not there any more.")


class PlaygroundForm(Settings):
    """One picture, and how."""

    picture: UploadFile


class Played(Answer):
    """What the models say of an upload."""

    captions: list[Caption]
    boke: list[Line]
    note: str | None = None


class Rating(Request):
    """What somebody thinks of a boke. The last of a picture and text counts."""

    picture: int | None = Field(ge=0, le=MAX_SEED, description="Of `Item.id`; None of an upload.")
    text: str = Field(min_length=1, max_length=MAX_TEXT)
    mode: Mode
    value: Value = Field(description="1 liked, -1 not, 0 taken back.")


class Rated(Answer):
    """How many ratings there are now."""

    liked: int
    disliked: int


# ---- studio

NETWORK = Field("", max_length=60, pattern=r"^[A-Za-z0-9][\w.:-]*$|^$", description="Empty: the default.")


class StudioForm(Request):
    """A picture to be made. Those settings count that the kind has."""

    kind: StudioKind
    content: UploadFile
    styles: list[UploadFile] = Field(default_factory=list, max_length=MAX_STYLES, description="Of style, 1 to 4.")
    size: int = Field(384, ge=64, le=MAX_SIDE, description="Long side, pixels.")
    network: str = NETWORK
    seed: int = Field(0, ge=0, le=MAX_SEED)
    iterations: int | None = Field(None, ge=1, le=300, description="At each size; None: the command's default.")
    # style
    style_weight: float = Field(100.0, ge=0.1, le=100_000.0)
    content_weight: float = Field(5.0, ge=0.0, le=1_000.0)
    style_scale: float = Field(1.0, ge=0.25, le=4.0)
    colours: Literal["style", "original", "luminance", "match", "histogram"] = "style"
    init: Literal["content", "random", "style"] = "content"
    # dream
    layers: str = Field(
        "", max_length=200, pattern=r"^[\w./:=,-]*$", description="LAYER[:CHANNEL][=WEIGHT],...; empty: the network's."
    )
    octaves: int = Field(4, ge=1, le=8)


class Job(Answer):
    """A picture of the studio, wherever it is on its way."""

    id: str
    kind: StudioKind
    state: JobState
    place: int | None = Field(description="In the queue, from 1 on, of one that waits.")
    made: float = Field(description="Seconds since 1970: when it was asked for.")
    seconds: float = Field(description="It has worked.")
    step: int
    steps: int | None = Field(description="In all, once it is known.")
    loss: float | None = Field(description="Of the last step: lowered by style, raised by dream.")
    picture: str | None = Field(description="Where to get the picture so far; changes when it does.")
    error: str | None
    command: str = Field(description="What makes the same on the command line.")
    settings: dict[str, str | int | float] = Field(description="Those that the kind has.")


class Jobs(Answer):
    """All of them, the newest first."""

    jobs: list[Job]
