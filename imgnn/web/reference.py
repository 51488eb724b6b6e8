"""The reference of the API as a plain page: made of the OpenAPI document, without anything from elsewhere."""

from collections.abc import Mapping
from html import escape
from typing import Any


def reference_page(openapi: Mapping[str, Any]) -> str:
    """HTML: each route with what goes in and comes out, then each shape with its fields."""
    parts = [
        "<!doctype html>",
        '<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">',
        f"<title>{escape(openapi['info']['title'])}: the API</title>",
        "<h1>The API</h1>",
        '<p>For programs: <a href="/api/openapi.json">openapi.json</a>.</p>',
    ]
    for path, methods in openapi["paths"].items():
        for method, route in methods.items():
            parts += [f"<h2><code>{method.upper()} {escape(path)}</code></h2>", f"<p>{escape(about(route))}</p>"]
            parts += [f"<p>In: {described(body)}</p>" for body in bodies(route.get("requestBody", {}))]
            parts += [row_list((each["name"], each["schema"]) for each in route.get("parameters", ()))]
            parts.append("<ul>")
            for status, answer in route["responses"].items():
                out = " or ".join(map(described, bodies(answer)))
                parts.append(f"<li>{escape(status)}: {escape(answer['description'])} {out}</li>")
            parts.append("</ul>")
    parts.append("<h1>Shapes</h1>")
    for name, shape in openapi["components"]["schemas"].items():
        parts += [f'<h2 id="{escape(name)}">{escape(name)}</h2>', f"<p>{escape(shape.get('description', ''))}</p>"]
        parts += [row_list(shape.get("properties", {}).items())]
    return "\n".join(parts) + "\n"


def about(route: Mapping[str, Any]) -> str:
    """What a route is for."""
    return str(route.get("description") or route.get("summary", ""))


def bodies(holder: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The shapes of a body; a picture has none."""
    return [each["schema"] for each in holder.get("content", {}).values() if each.get("schema")]


def row_list(fields: Any) -> str:
    """Fields with their kind, limits and meaning."""
    rows = [
        f"<dt><code>{escape(name)}</code> {described(shape)}</dt><dd>{escape(shape.get('description', ''))}</dd>"
        for name, shape in fields
    ]
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
        f"{sign} {shape[key]:g}"
        for key, sign in (("minimum", "≥"), ("maximum", "≤"), ("maxLength", "characters ≤"))
        if key in shape
    ]
    default = f"default {shape['default']!r}" if shape.get("default") is not None else ""
    return " ".join([kind, *limits, escape(default)]).strip()
