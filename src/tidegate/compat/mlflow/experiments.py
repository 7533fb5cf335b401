"""The protocol's experiments."""

import contextlib
from typing import Any

from tidegate.compat.mlflow import records
from tidegate.compat.mlflow.rules import VIEWS, check_key, check_keys, check_page, one_of
from tidegate.compat.mlflow.views import experiment_view
from tidegate.kernel.errors import AlreadyExists, Forbidden, Invalid, NotFound
from tidegate.runs.experiments import DEFAULT_ID, Experiments
from tidegate.runs.records import Experiment


class ExperimentCalls:
    """Answers the calls under ``experiments/``."""

    def __init__(self, experiments: Experiments) -> None:
        self._experiments = experiments

    def create(self, asked: records.CreateExperiment) -> dict[str, Any]:
        """A new experiment. As in MLflow, the name of a deleted one stays taken."""
        if asked.artifact_location:
            raise Invalid(
                "artifact_location is not for a client to say: artifacts are kept by the server; leave it out",
                field="artifact_location",
            )
        check_keys(asked.tags, "tags")
        self._ensure_default()
        self._check_not_deleted(asked.name)
        tags = {tag.key: tag.value for tag in asked.tags}
        return {"experiment_id": self._experiments.create(asked.name, tags=tags, imported=True).id}

    def get(self, asked: records.ByExperiment) -> dict[str, Any]:
        """One, by its id."""
        return {"experiment": experiment_view(by_id(self._experiments, asked.experiment_id))}

    def get_by_name(self, asked: records.ByExperimentName) -> dict[str, Any]:
        """One, by its name; deleted ones are found, too."""
        name = asked.experiment_name
        try:
            found = self._experiments.get(name)
        except NotFound:
            found = self._deleted(name)
        if found.name != name:  # an id
            raise NotFound(f"Could not find experiment with name '{name}'")
        return {"experiment": experiment_view(found)}

    def search(self, asked: records.SearchExperiments) -> dict[str, Any]:
        """All of them, in pages."""
        state = one_of(VIEWS, asked.view_type, "view_type")
        check_page(asked.max_results)
        self._ensure_default()
        page = self._experiments.search(
            asked.filter,
            state=state,
            order_by=tuple(asked.order_by),
            limit=asked.max_results,
            cursor=asked.page_token,
        )
        answer: dict[str, Any] = {"experiments": [experiment_view(one) for one in page.items]}
        return answer | ({"next_page_token": page.next} if page.next else {})

    def update(self, asked: records.UpdateExperiment) -> dict[str, Any]:
        """Another name."""
        self._check_not_deleted(asked.new_name)
        self._experiments.rename(by_id(self._experiments, asked.experiment_id).id, name=asked.new_name, imported=True)
        return {}

    def delete(self, asked: records.ByExperiment) -> dict[str, Any]:
        """Delete one."""
        if by_id(self._experiments, asked.experiment_id).deleted_at is not None:
            raise NotFound(f"No Experiment with id={asked.experiment_id} exists")
        self._experiments.delete(asked.experiment_id)
        return {}

    def restore(self, asked: records.ByExperiment) -> dict[str, Any]:
        """Restore one."""
        if by_id(self._experiments, asked.experiment_id).deleted_at is None:
            raise NotFound(f"No deleted Experiment with id={asked.experiment_id} exists")
        self._experiments.restore(asked.experiment_id)
        return {}

    def set_tag(self, asked: records.ExperimentTag) -> dict[str, Any]:
        """Set a tag."""
        check_key(asked.key, "key")
        self._experiments.set_tags(by_id(self._experiments, asked.experiment_id).id, tags={asked.key: asked.value})
        return {}

    def delete_tag(self, asked: records.ExperimentTag) -> dict[str, Any]:
        """Delete a tag."""
        self._experiments.delete_tag(by_id(self._experiments, asked.experiment_id).id, name=asked.key)
        return {}

    def _ensure_default(self) -> None:
        """Clients take for granted that the default experiment is there, and older than all others."""
        if not self._experiments.get(DEFAULT_ID).by:
            with contextlib.suppress(Forbidden):  # whoever may only look sees what there is
                self._experiments.set_tags(DEFAULT_ID, tags={})

    def _check_not_deleted(self, name: str) -> None:
        try:
            self._deleted(name)
        except NotFound:
            return
        raise AlreadyExists(
            f"Experiment '{name}' already exists in deleted state. You can restore the experiment, "
            "or choose another name"
        )

    def _deleted(self, name: str) -> Any:
        cursor = ""
        while True:
            page = self._experiments.list(state="deleted", limit=1000, cursor=cursor)
            for one in page.items:
                if one.name == name:
                    return one
            if page.next is None:
                raise NotFound(f"Could not find experiment with name '{name}'")
            cursor = page.next


def by_id(experiments: Experiments, experiment_id: str) -> Experiment:
    """The experiment of this id: our operations take names, too. Raises `NotFound`."""
    found = experiments.get(experiment_id)
    if found.id != experiment_id:
        raise NotFound(f"No Experiment with id={experiment_id} exists")
    return found
