"""The routes of the API, and of the page's files."""

import asyncio
import contextlib
import hashlib
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import numpy as np
from anyio.to_thread import run_sync
from fastapi import APIRouter, Depends, FastAPI, Form, Query, Request, Response, UploadFile
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse
from starlette.exceptions import HTTPException

from imgnn import __version__
from imgnn.errors import ImgnnError, InputError, PictureError
from imgnn.images.files import save_image
from imgnn.web import api
from imgnn.web.guard import Gate, without_paths
from imgnn.web.pictures import Shown, address, read_upload
from imgnn.web.reference import reference_page
from imgnn.web.site import Site
from imgnn.web.statistics import data_of
from imgnn.web.studio import SETTINGS, Busy, Job

if TYPE_CHECKING:
    from imgnn.jobs.boke import BokeImage, Joke

TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".png": "image/png",
}
BEST = 5  # references of a picture
PASSED = 1000  # pictures whose files are gone that are passed over in one answer

MEANINGS = {
    400: "Another host's name, or what cannot be read.",
    401: "A token is needed.",
    403: "Another site asks.",
    404: "There is none.",
    409: "It cannot be done now.",
    413: "Too many bytes.",
    422: "A value is out of its range.",
    429: "Too many requests of one client.",
    503: "The models are loading, or too many wait.",
}
Result = TypeVar("Result")


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """What a route may answer beside what it is for."""
    return {status: {"model": api.Problem, "description": MEANINGS[status]} for status in (400, 401, *statuses)}


READ, CHANGE = refusals(422), refusals(403, 413, 422, 429)


def site_of(request: Request) -> Site:
    """What the routes use."""
    site: Site = request.app.state.site
    return site


Used = Annotated[Site, Depends(site_of)]
router = APIRouter(prefix="/api")


async def decoding(site: Site, work: Callable[[], Result]) -> Result:
    """Work on pictures in a thread, where only a few are decoded at once."""
    return await run_sync(work, limiter=site.decoding)


# ---- what there is


@router.get("/state", responses=READ)
async def state(site: Used) -> api.State:
    """What the server is and has."""
    return api.State(
        version=__version__,
        status=site.status,
        problem=site.problem,
        models=[
            api.Model(
                kind=run.kind,
                name=run.name,
                network=run.network,
                tokenizer=run.tokenizer,
                packaged=run.packaged,
                pictures={"train": run.count("train"), "val": run.count("val")},
            )
            for run in site.runs
        ],
        modes=list(site.runs[0].modes),
        captions=any(run.kind == "caption" for run in site.runs),
        networks={kind: list(names) for kind, names in site.networks.items()},
        token=site.token,
    )


@router.get("/data", responses={**READ, **refusals(409)})
async def data(site: Used) -> api.Data:
    """What the model was trained on, and how that went."""
    return await run_sync(data_of, site.runs[0])


@router.get(
    "/pictures/{id}",
    response_class=Response,
    responses={**READ, **refusals(404), 200: {"content": {"image/jpeg": {}}}, 304: {"description": "As you have it."}},
)
async def picture(id: api.PictureId, site: Used, request: Request) -> Response:
    """A picture that a model knows, at most 800 pixels long, as a JPEG."""
    shown = await decoding(site, lambda: known_picture(site, id))
    headers = {"ETag": shown.tag, "Cache-Control": "private, max-age=3600"}
    if request.headers.get("if-none-match") == shown.tag:
        return Response(status_code=304, headers=headers)
    return Response(shown.jpeg, media_type="image/jpeg", headers=headers)


def known_picture(site: Site, number: int) -> Shown:
    """A known picture as it is sent.

    Raises:
        HTTPException: 404.
    """
    if number not in site.catalogue:
        raise HTTPException(404, f"the models know no picture {number}")
    try:
        return site.catalogue.shown(number)
    except InputError as error:
        raise HTTPException(404, str(error)) from None


# ---- sentences


@router.post("/generate", responses={**CHANGE, **refusals(409, 503)})
async def generate(wanted: api.GenerateRequest, site: Used) -> api.Generated:
    """Boke for the next known pictures of a split, beside what people wrote."""
    voices = site.speaking()
    check_mode(site, wanted.mode)
    part = site.catalogue.parts[wanted.split]

    def work(gone: Event) -> api.Generated:
        found: list[tuple[int, Shown]] = []
        place, passed = wanted.offset, 0
        while place < len(part) and len(found) < wanted.count and passed < PASSED:
            try:
                found.append((part[place], site.catalogue.shown(part[place])))
            except InputError:
                passed += 1
            place += 1
        made = voices.boke([site.catalogue.file(number) for number, _ in found], wanted) if found else iter(())
        items = []
        for (number, shown), boke in zip(found, made, strict=True):
            if gone.is_set():
                break
            items.append(item_of(site, number, shown, boke))
        return api.Generated(items=items, more=place if place < len(part) else None, total=len(part), gone=passed)

    return await site.worker.do(work)


def item_of(site: Site, number: int, shown: Shown, boke: "BokeImage") -> api.Item:
    """A known picture with what is said of it."""
    known = site.catalogue.pictures[number]
    # Those that nobody was asked about come last, in the data's order.
    order = sorted(range(len(known.sentences)), key=lambda place: -(known.stars[place] or 0))
    return api.Item(
        id=number,
        width=shown.size[1],
        height=shown.size[0],
        image=address(number),
        boke=[line_of(site, joke, known.file) for joke in boke.boke],
        references=[api.Reference(text=known.sentences[place], stars=known.stars[place]) for place in order[:BEST]],
        note=boke.note or (without_paths(str(boke.error), [Path(known.file).parent]) if boke.error else None),
    )


def line_of(site: Site, joke: "Joke", path: str | None) -> api.Line:
    """A boke as it is sent; `path`: of the known picture it was made for."""
    donor, nearest = joke.donor, joke.nearest
    kind = site.runs[0].kind
    return api.Line(
        text=joke.text,
        mode=joke.mode,
        log_prob=joke.log_prob,
        per_token=joke.per_token,
        novel=joke.novel,
        nearest=api.Nearest(text=nearest.text, similarity=nearest.similarity, stars=nearest.stars) if nearest else None,
        donor=api.Donor(
            name=Path(donor.name).name, distance=donor.distance, image=site.catalogue.address(kind, donor.name)
        )
        if donor
        else None,
        rating=site.ratings.of(path, joke.text),
    )


def check_mode(site: Site, mode: api.Mode | None) -> None:
    """See that the models are able to.

    Raises:
        HTTPException: 409.
    """
    if mode is not None and mode not in site.runs[0].modes:
        needed = "no sentences" if site.runs[0].lends else "no features"
        raise HTTPException(409, f"the model {site.runs[0].name} keeps {needed} of its pictures: no mode {mode}")


@router.post("/playground", responses={**CHANGE, **refusals(409, 503)})
async def playground(
    wanted: Annotated[api.PlaygroundForm, Form(media_type="multipart/form-data")], site: Used
) -> api.Played:
    """Captions and boke for a picture of one's own, which is not kept."""
    voices = site.speaking()
    check_mode(site, wanted.mode)
    image = await decoded(site, wanted.picture)

    def work(gone: Event) -> api.Played:
        with tempfile.TemporaryDirectory(prefix="imgnn-") as folder:
            file = Path(folder) / "picture.png"
            save_image(file, image)
            boke = next(voices.boke([file], wanted, uploaded=True))
            described = any(run.kind == "caption" for run in site.runs) and not gone.is_set()
            captions = voices.captions(file, wanted).captions if described else ()
        return api.Played(
            captions=[
                api.Caption(text=each.text, log_prob=each.log_prob, per_token=each.per_token) for each in captions
            ],
            boke=[line_of(site, joke, None) for joke in boke.boke],
            note=boke.note,
        )

    return await site.worker.do(work)


async def decoded(site: Site, upload: UploadFile) -> np.ndarray:
    """The picture of an upload.

    Raises:
        PictureError: it is none that is taken.
    """
    return await decoding(site, lambda: read_upload(upload.file, upload.size))


@router.post("/rate", responses={**CHANGE, **refusals(404, 409)})
async def rate(rating: api.Rating, site: Used) -> api.Rated:
    """Keep what somebody thinks of a boke, for training."""
    if rating.picture is not None and rating.picture not in site.catalogue:
        raise HTTPException(404, f"the models know no picture {rating.picture}")
    path = None if rating.picture is None else str(site.catalogue.file(rating.picture).absolute())
    model = site.runs[0].name
    liked, disliked = await run_sync(site.ratings.rate, path, rating.text, rating.value, rating.mode, model)
    return api.Rated(liked=liked, disliked=disliked)


# ---- studio


@router.post("/studio", status_code=201, responses={**CHANGE, **refusals(409, 503)})
async def order(wanted: Annotated[api.StudioForm, Form(media_type="multipart/form-data")], site: Used) -> api.Job:
    """Start a picture: style (a content picture painted like 1 to 4 others) or dream."""
    if wanted.kind == "style" and not wanted.styles:
        raise HTTPException(422, "styles: a picture to paint it like is expected")
    if wanted.kind == "dream" and wanted.styles:
        raise HTTPException(422, "styles: a dream takes none")
    here = site.networks[wanted.kind]
    if not here or (wanted.network and wanted.network not in here):
        known = f"; there are {', '.join(here)}" if here else ""
        raise HTTPException(409, f"the weights of {wanted.network or 'any network'} are not on this machine{known}")
    chosen = {"network": wanted.network or here[0]}
    settings = {name: chosen.get(name, getattr(wanted, name)) for name in SETTINGS[wanted.kind]}
    settings = {name: value for name, value in settings.items() if value not in (None, "")}
    content, *styles = [await decoded(site, upload) for upload in (wanted.content, *wanted.styles)]
    try:
        return told(site, await run_sync(site.studio.add, wanted.kind, settings, content, styles))
    except Busy as error:
        raise HTTPException(503, str(error), {"Retry-After": "30"}) from None
    except InputError as error:
        raise HTTPException(409, site.told(error)) from None


@router.get("/studio", responses=READ)
async def jobs(site: Used) -> api.Jobs:
    """All pictures of the studio, the newest first."""
    return api.Jobs(jobs=[told(site, job) for job in reversed(list(site.studio.jobs.values()))])


@router.get("/studio/{id}", responses={**READ, **refusals(404)})
async def job(id: api.JobId, site: Used) -> api.Job:
    """One picture of the studio."""
    return told(site, found_job(site, id))


@router.get(
    "/studio/{id}/picture",
    response_class=Response,
    responses={**READ, **refusals(404), 200: {"content": {"image/png": {}}}},
)
async def job_picture(
    id: api.JobId,
    site: Used,
    v: Annotated[int | None, Query(ge=0, description="Any number: another one, and no cache answers.")] = None,
) -> Response:
    """The picture so far, or at the end."""
    job = found_job(site, id)
    content = await run_sync(picture_of, job)
    if content is None:
        raise HTTPException(404, "there is no picture yet" if not job.over else "no picture came of it")
    cache = "private, max-age=3600" if job.over and v is not None else "no-store"
    return Response(content, media_type="image/png", headers={"Cache-Control": cache})


@router.delete("/studio/{id}", responses={**refusals(403, 404, 422, 429), 204: {"description": "It left the gallery."}})
async def leave(id: api.JobId, site: Used, response: Response) -> api.Job | None:
    """Stop a picture that waits or is made, its work so far is kept; of one that is over, remove it."""
    job = found_job(site, id)
    if job.over:
        await run_sync(site.studio.remove, job)
        return Response(status_code=204)  # type: ignore[return-value]
    await run_sync(site.studio.cancel, job)
    return told(site, job)


def picture_of(job: Job) -> bytes | None:
    """The file of the picture so far; None if there is none."""
    for _ in range(2):  # a preview may become the result, or go, between two looks
        if path := job.picture():
            with contextlib.suppress(OSError):
                return path.read_bytes()
    return None


def found_job(site: Site, id: str) -> Job:
    """The job of this id.

    Raises:
        HTTPException: 404.
    """
    job = site.studio.jobs.get(id)
    if job is None:
        raise HTTPException(404, "there is no such picture in the studio")
    return job


def told(site: Site, job: Job) -> api.Job:
    """A job as it is sent."""
    path = job.picture()
    version = 0
    if path is not None:
        try:
            version = path.stat().st_mtime_ns // 1_000_000
        except OSError:
            path = None
    return api.Job(
        id=job.id,
        kind=job.kind,
        state=job.state,
        place=site.studio.place(job),
        made=job.made,
        seconds=job.seconds,
        step=job.step,
        steps=job.steps,
        loss=job.loss,
        picture=None if path is None else f"/api/studio/{job.id}/picture?v={version}",
        error=job.error,
        command=job.command,
        settings=job.settings,
    )


# ---- the page, and what holds it together


def build_app(site: Site, gate: Gate, page: Traversable | None = None) -> FastAPI:
    """The routes for a site.

    Args:
        gate: exchanges the token for a cookie.
        page: the folder of the page's files; those that it holds now are served, by name.
    """

    @asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        waking = asyncio.create_task(site.wake()) if site.runs else None
        yield
        site.worker.close()
        await run_sync(site.studio.close)
        if waking is not None:
            waking.cancel()

    app = FastAPI(
        title="imgnn serve",
        version=__version__,
        description="Boke, captions, style and dream for pictures.",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        openapi_url="/api/openapi.json",
        lifespan=life,
    )
    app.state.site = site
    app.include_router(router)
    add_page(app, page or resources.files("imgnn.web") / "page")

    @app.post("/api/session", status_code=204, responses=refusals(403, 413, 422, 429))
    async def session(given: api.Session) -> Response:
        """Give the token; the cookie that comes back stands for it."""
        if gate.token and not gate.is_token(given.token):
            raise HTTPException(401, "that is not the token: imgnn serve printed it")
        return Response(status_code=204, headers=gate.set_cookie() if gate.token else {})

    @app.get("/api/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return HTMLResponse(reference_page(app.openapi()))

    app.add_exception_handler(HTTPException, tell_refusal)
    app.add_exception_handler(RequestValidationError, tell_invalid)
    app.add_exception_handler(ImgnnError, tell_failure)
    app.add_exception_handler(Exception, tell_bug)
    return app


def add_page(app: FastAPI, folder: Traversable) -> None:
    """Serve the page's files: by the names that they have now, so that no path of a client reaches the disk."""
    files = {each.name: each for each in folder.iterdir() if Path(each.name).suffix in TYPES} if folder.is_dir() else {}

    def send(name: str, request: Request) -> Response:
        if name not in files:
            raise HTTPException(404, "there is no such page")
        content = files[name].read_bytes()
        headers = {"ETag": f'"{hashlib.sha256(content).hexdigest()[:16]}"', "Cache-Control": "no-cache"}
        if request.headers.get("if-none-match") == headers["ETag"]:
            return Response(status_code=304, headers=headers)
        return Response(content, media_type=TYPES[Path(name).suffix], headers=headers)

    @app.get("/", include_in_schema=False)
    def index(request: Request) -> Response:
        return send("index.html", request)

    @app.get("/page/{name}", include_in_schema=False)
    def file(name: str, request: Request) -> Response:
        return send(name, request)


def problem(status: int, detail: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """A `Problem` as an answer."""
    return JSONResponse({"detail": detail}, status, dict(headers or {}))


async def tell_refusal(_: Request, error: Any) -> Response:
    """An HTTPException."""
    return problem(error.status_code, str(error.detail), error.headers)


async def tell_invalid(_: Request, error: Any) -> Response:
    """A request that is not what the schema says: the first thing that is wrong, in a sentence."""
    first = error.errors()[0]
    place = ".".join(str(each) for each in first["loc"][1:])
    return problem(422, f"{place}: {first['msg']}" if place else str(first["msg"]))


async def tell_failure(request: Request, error: Any) -> Response:
    """What a job says that a user can act on; where the runs are on this machine is not a client's business."""
    if isinstance(error, PictureError):
        return problem(413 if error.kind == "too_large" else 400, str(error))
    return problem(409, site_of(request).told(error))


async def tell_bug(_: Request, error: Any) -> Response:
    """An error of ours: the terminal has its traceback, the client none of it."""
    return problem(500, "the server failed at this; its terminal tells more")
