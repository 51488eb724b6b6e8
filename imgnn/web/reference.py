"""The reference of the API as a plain page: made of the OpenAPI document, without anything from elsewhere."""

import re
from collections.abc import Mapping
from html import escape
from typing import Any


def reference_page(openapi: Mapping[str, Any]) -> str:
    """HTML: each route with what goes in and comes out, then each shape with its fields."""
    routes, shapes = openapi["paths"], openapi["components"]["schemas"]
    parts = [
        "<!doctype html>",
        '<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(openapi['info']['title'])}: the API</title>",
        '<link rel="icon" href="data:,">',
        '<link rel="stylesheet" href="/page/page.css"><link rel="stylesheet" href="/page/reference.css">',
        '<header class="top"><a class="mark" href="/">imgnn</a></header>',
        "<main><h1>The API</h1>",
        '<p class="lead">What the page does, a program can do. For programs that read this: '
        '<a href="/api/openapi.json">openapi.json</a>.</p>',
        '<nav aria-label="Routes and shapes">',
        *(link(heading(path, method)) for path in routes for method in routes[path]),
        '<a href="#shapes">Shapes</a></nav>',
    ]
    for path, methods in routes.items():
        for method, route in methods.items():
            name = heading(path, method)
            parts.append(
                f'<section><h2 id="{anchor(name)}"><code>{escape(name)}</code></h2><p>{text(about(route))}</p>'
            )
            parts += [f"<p>In: {described(body)}</p>" for body in bodies(route.get("requestBody", {}))]
            parts.append(row_list((each["name"], each["schema"]) for each in route.get("parameters", ())))
            parts.append('<dl class="answers">')
            for status, answer in sorted(route["responses"].items()):
                out = " or ".join(map(described, bodies(answer)))
                parts.append(f"<dt>{escape(status)}</dt><dd>{text(answer['description'])} {out}</dd>")
            parts.append("</dl></section>")
    parts.append('<h1 id="shapes">Shapes</h1>')
    for name, shape in shapes.items():
        parts.append(f'<section><h2 id="{escape(name)}">{escape(name)}</h2><p>{text(shape.get("description", ""))}</p>')
        parts.append(row_list(shape.get("properties", {}).items()) + "</section>")
    return "\n".join([*parts, "</main>"]) + "\n"


def heading(path: str, method: str) -> str:
    """What a route is called: "GET /api/state"."""
    return f"{method.upper()} {path}"


def anchor(name: str) -> str:
    """The same as a place on the page."""
    return re.sub(r"\W+", "-", name.lower()).strip("-")


def link(name: str) -> str:
    """A link to a route."""
    return f'<a href="#{anchor(name)}"><code>{escape(name)}</code></a>'


def text(words: str) -> str:
    """A description; what is between backticks is code."""
    return re.sub("`([^`]+)`", r"<code>\1</code>", escape(words))


def about(route: Mapping[str, Any]) -> str:
    """What a route is for."""
    return str(route.get("description") or route.get("summary", ""))


def bodies(holder: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The shapes of a body; a picture has none."""
    return [each["schema"] for each in holder.get("content", {}).values() if each.get("schema")]


def row_list(fields: Any) -> str:
    """Fields with their kind, limits and meaning."""
    rows = []
    for name, shape in fields:
        kind = ", ".join([described(shape), *default_of(shape)])
        rows.append(
            f"<dt><code>{escape(name)}</code></dt><dd><span>{kind}</span> {text(shape.get('description', ''))}</dd>"
        )
    return f"<dl>{''.join(rows)}</dl>" if rows else ""


def described(shape: Mapping[str, Any]) -> str:
    """A shape in a few words: a link to its own entry, or its kind and limits."""
    if "$ref" in shape:
        name = escape(str(shape["$ref"]).rpartition("/")[2])
        return f'<a href="#{name}">{name}</a>'
    if "anyOf" in shape:
        return " or ".join(map(described, shape["anyOf"]))
    if "enum" in shape or "const" in shape:
        return " | ".join(escape(repr(each)) for each in shape.get("enum", [shape.get("const")]))
    kind = escape(str(shape.get("type", "any")))
    if kind == "array":
        return f"list of {described(shape.get('items', {}))}"
    limits = [
        f"{sign} {shape[key]:.10g}"
        for key, sign in (("minimum", "≥"), ("maximum", "≤"), ("maxLength", "characters ≤"))
        if key in shape
    ]
    return ", ".join([kind, *limits])


def default_of(shape: Mapping[str, Any]) -> list[str]:
    """What a field is if nothing is said, where there is such a thing."""
    return [] if shape.get("default") in (None, "") else [f"default {escape(repr(shape['default']))}"]
