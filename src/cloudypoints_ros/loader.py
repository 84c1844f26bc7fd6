"""Loading a model beside the one that works, in a thread, so that no frame waits for it. Knows no ROS."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from cloudypoints_ros.engines.choice import Choice, unbuilt
from cloudypoints_ros.errors import CloudyPointsError
from cloudypoints_ros.pipeline import Pipeline
from cloudypoints_ros.settings import ModelSettings


@dataclass(frozen=True)
class Loaded:
    """How loading ended: ``pipeline``, or why there is none."""

    settings: ModelSettings
    pipeline: Pipeline | None
    error: str = ""
    better: Choice | None = None  # whose better engines were to be built


class Loader:
    """Loads one model at a time; only the one asked for last counts."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._wanted: ModelSettings | None = None
        self._done: Loaded | None = None

    @property
    def loading(self) -> ModelSettings | None:
        return self._wanted

    def start(self, settings: ModelSettings, scaled: bool, better: Choice | None = None) -> None:
        """Begin to load; see :meth:`Pipeline.open` for ``scaled``.

        ``better``: build what that choice left unbuilt, instead of choosing anew.
        """
        with self._lock:
            self._wanted, self._done = settings, None
        args = (settings, scaled, better)
        thread = threading.Thread(target=self._load, args=args, name="cloudypoints loader", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:
            self._finish(
                Loaded(
                    settings,
                    None,
                    f"No thread can be started to load the model ({error}); raise the limits of threads and memory "
                    "(ulimit -u and -v, or the container's).",
                    better,
                )
            )

    def cancel(self) -> None:
        """Whatever is being loaded is no longer wanted."""
        with self._lock:
            self._wanted = self._done = None

    def take(self) -> Loaded | None:
        """What the last start led to, once; None while it runs or when there was none."""
        with self._lock:
            done, self._done = self._done, None
            if done is not None:
                self._wanted = None
            return done

    def _load(self, settings: ModelSettings, scaled: bool, better: Choice | None) -> None:
        which = (settings.path, settings.engine, settings.threads, scaled)
        try:
            pipeline = Pipeline.open(*which, unbuilt(better), build=True) if better else Pipeline.open(*which)
            if better:
                pipeline.choice = pipeline.choice.after(better)
            pipeline.warm_engine()
            done = Loaded(settings, pipeline, better=better)
        except CloudyPointsError as error:
            done = Loaded(settings, None, str(error), better)
        except Exception as error:  # a library's own; the working model must not suffer
            done = Loaded(settings, None, f"{type(error).__name__}: {error}", better)
        self._finish(done)

    def _finish(self, done: Loaded) -> None:
        with self._lock:
            if self._wanted is done.settings:
                self._done = done
