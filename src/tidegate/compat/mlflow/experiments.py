"""The protocol's experiments."""

from typing import Any, Final

from tidegate.compat.mlflow import records
from tidegate.compat.mlflow.views import check_page, experiment_view, state_of
from tidegate.kernel.errors import AlreadyExists, Invalid, NotFound
from tidegate.runs.experiments import Experiments

MOST_LISTED: Final = 50_000


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
        self._check_not_deleted(asked.name)
        tags = {tag.key: tag.value for tag in asked.tags}
        return {"experiment_id": self._experiments.create(asked.name, tags=tags, imported=True).id}

    def get(self, asked: records.ByExperiment) -> dict[str, Any]:
        """One, by its id."""
        found = self._experiments.get(asked.experiment_id)
        if found.id != asked.experiment_id:  # a name
            raise NotFound(f"No Experiment with id={asked.experiment_id} exists")
        return {"experiment": experiment_view(found)}

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
        if asked.filter or asked.order_by:
            raise Invalid("filter and order_by of experiments are not answered yet: leave them out", field="filter")
        state = state_of(asked.view_type, "view_type")
        check_page(asked.max_results, MOST_LISTED)
        if not asked.page_token and state != "deleted":
            self._experiments.set_tags("0", tags={})  # the default experiment is there from the first day
        page = self._experiments.list(state=state, limit=min(asked.max_results, 1000), cursor=asked.page_token)
        answer: dict[str, Any] = {"experiments": [experiment_view(one) for one in page.items]}
        return answer | ({"next_page_token": page.next} if page.next else {})

    def update(self, asked: records.UpdateExperiment) -> dict[str, Any]:
        """Another name."""
        if asked.new_name:
            self._check_not_deleted(asked.new_name)
            self._experiments.rename(asked.experiment_id, name=asked.new_name, imported=True)
        return {}

    def delete(self, asked: records.ByExperiment) -> dict[str, Any]:
        """Delete one."""
        if self._experiments.get(asked.experiment_id).deleted_at is not None:
            raise NotFound(f"No Experiment with id={asked.experiment_id} exists")
        self._experiments.delete(asked.experiment_id)
        return {}

    def restore(self, asked: records.ByExperiment) -> dict[str, Any]:
        """Restore one."""
        if self._experiments.get(asked.experiment_id).deleted_at is None:
            raise NotFound(f"No deleted Experiment with id={asked.experiment_id} exists")
        self._experiments.restore(asked.experiment_id)
        return {}

    def set_tag(self, asked: records.ExperimentTag) -> dict[str, Any]:
        """Set a tag."""
        self._experiments.set_tags(asked.experiment_id, tags={asked.key: asked.value})
        return {}

    def delete_tag(self, asked: records.ExperimentTag) -> dict[str, Any]:
        """Delete a tag."""
        self._experiments.delete_tag(asked.experiment_id, name=asked.key)
        return {}

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
