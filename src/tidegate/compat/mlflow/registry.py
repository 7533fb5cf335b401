"""The protocol's registered models and their versions: the same models as those of our own operations."""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from tidegate.compat.mlflow import model_records
from tidegate.compat.mlflow.errors import NoSuchEndpoint
from tidegate.compat.mlflow.records import KeyValue
from tidegate.compat.mlflow.sources import Source, parse_source
from tidegate.compat.mlflow.views import millis, pairs
from tidegate.kernel.errors import Invalid, NotFound
from tidegate.kernel.pages import MAX_PAGE
from tidegate.models.drafts import Drafts
from tidegate.models.records import Model, ModelVersion, Stage
from tidegate.models.service import Models

STAGES: Final[dict[str, Stage]] = {
    "None": "development",
    "Staging": "staging",
    "Production": "production",
    "Archived": "archived",
}
SPELT: Final[dict[Stage, str]] = {stage: spelling for spelling, stage in STAGES.items()}

SOURCE: Final = "source"
RUN_LINK: Final = "run_link"
"""Facts of a version that a client told."""

_PROMPT: Final = "mlflow.prompt.is_prompt"
_NO_PROMPT: Final = re.compile(r"(tags?\.[`\"]mlflow\.prompt\.is_prompt[`\"])\s*!=\s*'true'")
_RESERVED: Final = re.compile(r"latest|v[0-9]+", re.IGNORECASE)
MOST_MODELS, MOST_VERSIONS = 1000, 200_000


class RegisteredModelCalls:
    """Answers the calls under ``registered-models/``."""

    def __init__(self, models: Models) -> None:
        self._models = models

    def create(self, asked: model_records.CreateModel) -> dict[str, Any]:
        """A new model, without versions."""
        _refuse_prompt(asked.tags)
        return self._shown(self._models.create(asked.name, note=asked.description, tags=_texts(asked.tags)))

    def get(self, asked: model_records.ByName) -> dict[str, Any]:
        """One."""
        return self._shown(self._models.model(asked.name))

    def rename(self, asked: model_records.Rename) -> dict[str, Any]:
        """Another name."""
        return self._shown(self._models.rename(asked.name, to=asked.new_name))

    def update(self, asked: model_records.Describe) -> dict[str, Any]:
        """Another description."""
        return self._shown(self._models.update(asked.name, note=asked.description))

    def delete(self, asked: model_records.ByName) -> dict[str, Any]:
        """Delete one with its versions."""
        self._models.delete(asked.name)
        return {}

    def search(self, asked: model_records.SearchModels) -> dict[str, Any]:
        """Those of which a filter is true."""
        _check_most(asked.max_results, MOST_MODELS)
        page = self._models.search(
            _meant(asked.filter),
            order_by=tuple(asked.order_by),
            limit=asked.max_results,
            cursor=asked.page_token,
        )
        answer: dict[str, Any] = {"registered_models": [self._view(one) for one in page.items]}
        return answer | ({"next_page_token": page.next} if page.next else {})

    def latest(self, asked: model_records.Latest) -> dict[str, Any]:
        """The newest version in each of some stages, or in all of them."""
        wanted = {stage_of(one) for one in asked.stages} or set(SPELT)
        model = self._models.model(asked.name)
        newest = [one for one in self._models.newest(asked.name) if one.stage in wanted]
        return {"model_versions": [version_view(one, model.aliases) for one in newest]}

    def set_tag(self, asked: model_records.ModelTag) -> dict[str, Any]:
        """Set a tag."""
        self._models.set_tags(asked.name, tags={asked.key: asked.value})
        return {}

    def delete_tag(self, asked: model_records.ModelTag) -> dict[str, Any]:
        """Delete a tag; one that is not there is deleted already."""
        if asked.key in self._models.model(asked.name).tags:
            self._models.delete_tag(asked.name, tag=asked.key)
        return {}

    def set_alias(self, asked: model_records.SetAlias) -> dict[str, Any]:
        """Point an alias at a version."""
        if _RESERVED.fullmatch(asked.alias):
            raise Invalid(f"alias {asked.alias!r} is reserved: it reads like a version", field="alias")
        self._models.set_alias(asked.name, asked.alias, number=number_of(asked.version))
        return {}

    def delete_alias(self, asked: model_records.ByAlias) -> dict[str, Any]:
        """Delete an alias; one that is not there is deleted already."""
        if asked.alias in self._models.model(asked.name).aliases:
            self._models.delete_alias(asked.name, asked.alias)
        return {}

    def by_alias(self, asked: model_records.ByAlias) -> dict[str, Any]:
        """The version at which an alias points."""
        model = self._models.model(asked.name)
        if asked.alias not in model.aliases:
            raise NotFound(f"Registered model alias {asked.alias[:140]!r} not found.")
        found = self._models.get(asked.name, model.aliases[asked.alias])
        return {"model_version": version_view(found, model.aliases)}

    def _shown(self, model: Model) -> dict[str, Any]:
        return {"registered_model": self._view(model)}

    def _view(self, model: Model) -> dict[str, Any]:
        newest = self._models.newest(model.name) if model.versions else ()
        return {
            "name": model.name,
            "creation_timestamp": millis(model.created_at),
            "last_updated_timestamp": millis(model.updated_at),
            "user_id": model.owner,
            "description": model.note,
            "latest_versions": [version_view(one, model.aliases) for one in newest],
            "tags": pairs(model.tags),
            "aliases": [{"alias": alias, "version": str(number)} for alias, number in model.aliases.items()],
        }


class ModelVersionCalls:
    """Answers the calls under ``model-versions/``."""

    def __init__(self, models: Models, drafts: Drafts) -> None:
        self._models = models
        self._drafts = drafts

    def create(self, asked: model_records.CreateVersion) -> dict[str, Any]:
        """A version of what a source names. The same source again answers the version that it made before."""
        _refuse_prompt(asked.tags)
        model = self._models.model(asked.name)  # a client makes it first
        source = _meant_by(parse_source(asked.source), draft_of(asked.model_id))
        run_id = asked.run_id if source.draft else source.run
        if source.run and asked.run_id not in ("", source.run):
            raise Invalid(f"source {asked.source!r} is not of run {asked.run_id[:40]!r}", field="run_id")
        version = self._drafts.adopt(
            asked.name,
            draft_id=source.draft,
            run_id=run_id,
            path=source.path,
            version=source.version,
            facts={SOURCE: asked.source, **_link(asked.run_link)},
            note=asked.description,
            tags=_texts(asked.tags),
        )
        return {"model_version": version_view(version, model.aliases)}

    def get(self, asked: model_records.ByVersion) -> dict[str, Any]:
        """One."""
        return self._shown(self._models.get(asked.name, number_of(asked.version)))

    def update(self, asked: model_records.DescribeVersion) -> dict[str, Any]:
        """Another description."""
        return self._shown(self._models.update_version(asked.name, number_of(asked.version), note=asked.description))

    def delete(self, asked: model_records.ByVersion) -> dict[str, Any]:
        """Delete one, and the aliases that point at it."""
        self._models.delete_version(asked.name, number_of(asked.version), with_aliases=True)
        return {}

    def search(self, asked: model_records.SearchVersions) -> dict[str, Any]:
        """Those of which a filter is true."""
        _check_most(asked.max_results, MOST_VERSIONS)
        page = self._models.search_versions(
            _meant(asked.filter),
            order_by=tuple(asked.order_by),
            limit=min(asked.max_results, MAX_PAGE),
            cursor=asked.page_token,
        )
        aliases = {name: self._models.model(name).aliases for name in {one.name for one in page.items}}
        answer: dict[str, Any] = {"model_versions": [version_view(one, aliases[one.name]) for one in page.items]}
        return answer | ({"next_page_token": page.next} if page.next else {})

    def transition(self, asked: model_records.Transition) -> dict[str, Any]:
        """Another stage, where its policy allows."""
        to, number = stage_of(asked.stage), number_of(asked.version)
        others = asked.archive_existing_versions
        if others and to not in ("staging", "production"):
            raise Invalid(
                f"archive_existing_versions is for Staging and Production, not for {SPELT[to]}",
                field="archive_existing_versions",
            )
        version = self._models.get(asked.name, number)
        if version.stage != to:
            return self._shown(self._models.promote(asked.name, number, to=to, archive_others=others))
        standing = f"name = '{version.name}' AND stage = '{to}' AND number != {number}"
        for one in self._models.search_versions(standing, limit=MAX_PAGE).items if others else ():
            self._models.promote(one.name, one.number, to="archived")
        return self._shown(version)

    def download_uri(self, asked: model_records.ByVersion) -> dict[str, Any]:
        """Where its files are, at this server's proxy."""
        return {"artifact_uri": place_of(self._models.get(asked.name, number_of(asked.version)))}

    def set_tag(self, asked: model_records.VersionTag) -> dict[str, Any]:
        """Set a tag."""
        self._models.set_version_tags(asked.name, number_of(asked.version), tags={asked.key: asked.value})
        return {}

    def delete_tag(self, asked: model_records.VersionTag) -> dict[str, Any]:
        """Delete a tag; one that is not there is deleted already."""
        number = number_of(asked.version)
        if asked.key in self._models.get(asked.name, number).tags:
            self._models.delete_version_tag(asked.name, number, tag=asked.key)
        return {}

    def _shown(self, version: ModelVersion) -> dict[str, Any]:
        return {"model_version": version_view(version, self._models.model(version.name).aliases)}


def version_view(version: ModelVersion, aliases: Mapping[str, int]) -> dict[str, Any]:
    """A version, with those of its model's aliases that point at it."""
    facts, draft = version.manifest.facts, version.draft_id
    return {
        "name": version.name,
        "version": str(version.number),
        "creation_timestamp": millis(version.created_at),
        "last_updated_timestamp": millis(version.updated_at),
        "user_id": version.created_by,
        "current_stage": SPELT[version.stage],
        "description": version.note,
        "source": facts.get(SOURCE) or place_of(version),
        "run_id": version.run_id or "",
        "run_link": facts.get(RUN_LINK, ""),
        "status": "READY",
        "tags": pairs(version.tags),
        "aliases": [alias for alias, number in aliases.items() if number == version.number],
        **({"model_id": f"m-{draft}"} if draft else {}),
    }


def place_of(version: ModelVersion) -> str:
    """Where the files of a version are, at this server's proxy."""
    return f"mlflow-artifacts:/models/{version.name}/{version.number}"


def number_of(version: str) -> int:
    """The number in a version as the protocol writes it. Raises `Invalid`."""
    if not version.isascii() or not version.isdigit() or not 0 < int(version[:10]) < 2**31:
        raise Invalid(f"Model version must be an integer, got {version[:40]!r}", field="version")
    return int(version)


def stage_of(spelling: str) -> Stage:
    """The stage that a spelling means, in whatever case. Raises `Invalid`."""
    found = next((stage for name, stage in STAGES.items() if name.lower() == spelling.lower()), None)
    if found is None:
        raise Invalid(
            f"Invalid Model Version stage: {spelling[:40]}. Value must be one of {', '.join(STAGES)}", field="stage"
        )
    return found


def _meant_by(source: Source, draft_id: str) -> Source:
    """What is meant: a logged model that is named beside the source is the source, or it is wrong."""
    if not draft_id:
        return source
    if source.draft not in ("", draft_id) or source.version:
        raise Invalid(f"source and model_id 'm-{draft_id}' name different models", field="model_id")
    return Source(draft=draft_id)


def _texts(tags: Iterable[KeyValue]) -> dict[str, str]:
    return {tag.key: tag.value for tag in tags}


def _meant(filter: str) -> str:
    """A filter in our words: what its client adds to each, that it is no prompt, is true without that tag, too."""
    return _NO_PROMPT.sub(r"NOT \1 = 'true'", filter)


def _refuse_prompt(tags: Iterable[KeyValue]) -> None:
    if any(tag.key == _PROMPT for tag in tags):
        raise NoSuchEndpoint("prompts are not kept by this server: it keeps models")


def _check_most(max_results: int, most: int) -> None:
    if not 1 <= max_results <= most:
        raise Invalid(f"max_results {max_results} lies not between 1 and {most:,}", field="max_results")


def draft_of(model_id: str) -> str:
    """Our id of a logged model; empty where none is named. Raises `NotFound` for what cannot be one."""
    if model_id and not re.fullmatch(r"m-[0-9a-f]{32}", model_id):
        raise NotFound(f"Logged model with ID {model_id[:80]!r} not found.")
    return model_id[2:]


def _link(run_link: str) -> dict[str, str]:
    if run_link and (not run_link.startswith(("http://", "https://")) or len(run_link) > 500):
        raise Invalid("run_link is an address of http or https, of at most 500 characters", field="run_link")
    return {RUN_LINK: run_link} if run_link else {}
