"""MLCommons Croissant metadata of a curated set, with where it comes from (PROV-O)."""

from typing import Any

import polars as pl

from stepsift.core.tables import UNKNOWN_LICENCE
from stepsift.select.export import messages
from stepsift.select.export.lines import ABOUT
from stepsift.select.manifest import Manifest

_TERMS = (
    *("citeAs", "column", "equivalentProperty", "extract", "field", "fileObject", "fileProperty", "fileSet", "format"),
    *("includes", "isLiveDataset", "jsonPath", "key", "md5", "parentField", "path", "recordSet", "references", "regex"),
    *("repeated", "replace", "samplingRate", "separator", "source", "subField", "transform"),
)
_CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "prov": "http://www.w3.org/ns/prov#",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "sc": "https://schema.org/",
} | {term: f"cr:{term}" for term in _TERMS}
"""The context of Croissant 1.0, and PROV-O."""
_MESSAGES = {
    "role": "Who speaks, message by message; the last is the assistant",
    "content": "What is said; the last is the response",
}
_DESCRIPTIONS = {
    "prompt_id": "Identity of the prompt",
    "trace_id": "Identity of the response",
    "teacher": "The model that wrote the response",
    "licence": "Licence of the row as its source gives it; unknown where it gives none",
    "source": "Source file",
    "source_line": "Row of the source file",
}
_TYPES = {"source_line": "sc:Integer"}


def croissant_metadata(manifest: Manifest, examples: pl.DataFrame) -> dict[str, Any]:
    """JSON-LD that conforms to Croissant 1.0: `train.jsonl` with its md5, its fields, sources and what made it.

    Creator and date are left out: neither is known here.
    """
    file = manifest["files"][messages.FILE]
    licences = sorted(set(examples["licence"].fill_null(UNKNOWN_LICENCE)))
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": f"stepsift-{manifest['selector']['name']}",
        "description": (
            f"Reasoning traces selected by {manifest['selector']['by']} for one student; fingerprint of the selection "
            f"{manifest['fingerprint']}"
        ),
        "license": licences,
        "version": "1.0.0",
        "url": "README.md",
        "distribution": [
            {
                "@type": "cr:FileObject",
                "@id": messages.FILE,
                "name": messages.FILE,
                "contentUrl": messages.FILE,
                "contentSize": f"{file['bytes']} B",
                "encodingFormat": "application/jsonlines",
                "md5": file["md5"],
            }
        ],
        "recordSet": [
            {
                "@type": "cr:RecordSet",
                "@id": "examples",
                "name": "examples",
                "field": [*map(_field, ABOUT), *map(_messages, _MESSAGES)],
            }
        ],
        "prov:wasDerivedFrom": [
            {
                "@type": "prov:Entity",
                "name": name,
                "md5": about["md5"],
                "license": sorted(about["licences"]),
                **({"prov:hadPrimarySource": _published(about)} if "repository" in about else {}),
            }
            for name, about in sorted(manifest["inputs"]["sources"].items())
        ],
        "prov:wasGeneratedBy": {
            "@type": "prov:Activity",
            "name": "stepsift select",
            "description": f"code {manifest['code']}, student {manifest['student'].get('student', 'unknown')}",
        },
    }


def _published(about: dict[str, Any]) -> str:
    return f"{about['repository']}@{about['revision']}" if "revision" in about else about["repository"]


def _field(name: str) -> dict[str, Any]:
    return {
        "@type": "cr:Field",
        "@id": f"examples/{name}",
        "name": name,
        "description": _DESCRIPTIONS[name],
        "dataType": _TYPES.get(name, "sc:Text"),
        "source": {"fileObject": {"@id": messages.FILE}, "extract": {"column": name}},
    }


def _messages(part: str) -> dict[str, Any]:
    """One part of all messages of a row, a list."""
    return {
        "@type": "cr:Field",
        "@id": f"examples/messages_{part}",
        "name": f"messages_{part}",
        "description": _MESSAGES[part],
        "dataType": "sc:Text",
        "repeated": True,
        "source": {
            "fileObject": {"@id": messages.FILE},
            "extract": {"column": "messages"},
            "transform": {"jsonPath": f"[*].{part}"},
        },
    }
