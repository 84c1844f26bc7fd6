"""The ROS 2 node: camera images in, depth, its calibration, a cloud and a preview out.

Callbacks only keep the newest message of each camera. One thread takes them in turn and runs the pipeline, another
publishes, so a slow model never makes a queue: the latest frame wins and what it displaced is counted.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import threading
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rcl_interfaces.msg import SetParametersResult
from rclpy._rclpy_pybind11 import RCLError, RCLInvalidROSArgsError, UnknownROSArgsError
from rclpy.clock import Clock, ClockType
from rclpy.executors import ExternalShutdownException
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter
from rclpy.utilities import remove_ros_args

from cloudypoints_ros import dds, diagnostics, parameters
from cloudypoints_ros.engines import AUTO
from cloudypoints_ros.engines.choice import Choice, on_cpu
from cloudypoints_ros.errors import CloudyPointsError, EngineLost
from cloudypoints_ros.files import replacing
from cloudypoints_ros.health import Status
from cloudypoints_ros.inbox import Inbox
from cloudypoints_ros.lane import CameraLane
from cloudypoints_ros.loader import Loader
from cloudypoints_ros.model_files import load_card, resolve
from cloudypoints_ros.notes import Level, Notes
from cloudypoints_ros.parameter_table import UNCONFIGURED, Value
from cloudypoints_ros.pipeline import Pipeline, require_metres
from cloudypoints_ros.settings import CameraSettings, ModelSettings, Thresholds
from cloudypoints_ros.workers import Workers, overlap_allowed

REPORT_S = 5.0
POLL_S = 0.25


class DepthNode(LifecycleNode):
    """The node ``cloudypoints``. CloudyPointsError when a parameter cannot be used.

    Configuring loads the model and offers the topics, activating subscribes and starts the workers; deactivating and
    cleaning up undo that. What a state does not need is None in it.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__("cloudypoints", **options)
        self.failure: CloudyPointsError | None = None  # why the last configuration failed
        self._values = parameters.declare(self)
        self._thresholds = Thresholds.of(self._values)
        self.add_on_set_parameters_callback(self._check_parameters)
        self.add_post_set_parameters_callback(self._take_parameters)

        self._notes = Notes(lambda note: self.get_logger().error(note.text))
        self._model_failure = "none"
        self._at_work = self._values  # of which model and scale lag behind while a model is loaded
        self._stats_file: Path | None = None
        self._pipeline: Pipeline | None = None
        self._model: ModelSettings | None = None  # what self._pipeline was made of
        self._loader = Loader()
        self._swapping = threading.Lock()  # the worker replaces an engine that is lost, the executor all else
        self._lost = ""  # what is said while a lost engine is stood in for
        self._lanes: dict[str, CameraLane] = {}
        self._workers: Workers | None = None
        self._stuck: Workers | None = None  # those that did not end in time
        self._timers_of_activity: list[Any] = []

        # Not the node's clock: with use_sim_time that one stands still until a bag plays.
        self._steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._diagnostics_pub = self.create_publisher(DiagnosticArray, diagnostics.TOPIC, 10)
        self._diagnostics_timer: Any = None
        self._time_diagnostics()
        self._change_state = self._service_change_state.callback
        self._service_change_state.callback = self._change_state_or_refuse

    @property
    def autostart(self) -> bool:
        """Whether to configure and activate without being told to."""
        return bool(self._values["autostart"])

    # ---- life

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load the model, offer the topics. A failure leaves the node unconfigured, ready to try again."""
        self.failure = None
        try:
            self._configure()
        except Exception as error:  # rclpy would swallow it
            self._fail(error)
            self._release()
            return TransitionCallbackReturn.FAILURE
        return TransitionCallbackReturn.SUCCESS

    def _configure(self) -> None:
        self._values = values = parameters.declare_cameras(self, self._values)
        self._at_work = values
        self._stats_file = _stats_file(str(values["stats_file"]))
        settings = {camera: CameraSettings.of(values, camera) for camera in _cameras(values)}
        model = ModelSettings.of(values)
        pipeline = Pipeline.open(model.path, model.engine, model.threads, _scaled(values))
        self.get_logger().info(f"Model {pipeline.card.name} on {pipeline.engine.name}; warming up.")
        self.get_logger().info(f"Engine: {pipeline.choice}.")
        pipeline.warm_up()
        self._pipeline, self._model, self._lost = pipeline, model, ""
        self._build_better()
        self._lanes = {camera: CameraLane(self, camera, settings[camera]) for camera in settings}
        for lane in self._lanes.values():
            lane.open(str(values["qos.output"]), parameters.whole(values["qos.output_depth"]))

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Subscribe and start working. A failure leaves the node inactive."""
        super().on_activate(state)
        try:
            self._activate()
        except Exception as error:  # as above
            self._fail(error)
            self._stop()
            super().on_deactivate(state)
            return TransitionCallbackReturn.FAILURE
        return TransitionCallbackReturn.SUCCESS

    def _activate(self) -> None:
        if self._stuck is not None and not self._stuck.close():
            raise CloudyPointsError("A frame from before the pause is still in the works; wait, or restart the node.")
        self._stuck = None
        inbox = Inbox()
        self._workers = Workers(inbox, self._compute, self._publish, overlap_allowed())
        for lane in self._lanes.values():
            lane.start(inbox)
        self._timers_of_activity = [
            self.create_timer(POLL_S, self._poll, clock=self._steady),
            self.create_timer(REPORT_S, self._report, clock=self._steady),
        ]

    def _fail(self, error: Exception) -> None:
        if not isinstance(error, CloudyPointsError):
            self.get_logger().debug(traceback.format_exc())
            error = CloudyPointsError(f"{type(error).__name__}: {error}; run with --log-level debug for more.")
        self.failure = error
        self.get_logger().error(str(error))

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop listening and wait for the frame in the works; the model stays loaded."""
        self._stop()
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Give back the topics and the model."""
        self._release()
        return TransitionCallbackReturn.SUCCESS

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """From any state: the last frame ends, then everything goes."""
        self._stop()
        self._release()
        return TransitionCallbackReturn.SUCCESS

    def close(self) -> None:
        """Stop in whatever state, and write the statistics file; the node can then be destroyed."""
        self._stop()
        self._write_stats()

    def _stop(self) -> None:
        for timer in self._timers_of_activity:
            self.destroy_timer(timer)
        self._timers_of_activity = []
        for lane in self._lanes.values():
            lane.stop()
        if self._workers is not None and not self._workers.close():
            self._stuck = self._workers
            self.get_logger().error("The frame in the works does not end; the engine hangs, or the machine is busy.")
        self._workers = None

    def _release(self) -> None:
        self._write_stats()
        for lane in self._lanes.values():
            lane.close()
        self._lanes = {}
        self._loader.cancel()
        self._pipeline = self._model = None

    def _write_stats(self) -> None:
        path, self._stats_file = self._stats_file, None
        if path is None:
            return
        record = {"cameras": {name: lane.stats.record() for name, lane in self._lanes.items()}}
        try:
            with replacing(path) as partial:
                partial.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        except CloudyPointsError as error:
            print(f"depth_node: {error}", file=sys.stderr)

    def _change_state_or_refuse(self, request: Any, response: Any) -> Any:
        """Jazzy's rclpy lets a transition that the state does not have end the process, such as a manager's configure
        where the node did that by itself; Kilted's refuses it."""
        try:
            return self._change_state(request, response)
        except RCLError as error:
            asked, state = request.transition, self._state_machine.current_state[1]
            self.get_logger().warning(
                f"The transition {asked.label or asked.id} was refused in the state {state} ({_first_line(error)}); "
                f"'ros2 lifecycle list {self.get_fully_qualified_name()}' shows those it has."
            )
            response.success = False
            return response

    # ---- the workers' threads

    def _compute(self, camera: str, arrived: Any) -> Any:
        pipeline = self._pipeline
        assert pipeline is not None  # there are workers only while active
        try:
            return self._lanes[camera].work(pipeline, arrived)
        except EngineLost as error:  # the lane has counted the frame
            self._stand_in(pipeline, error)
            return None

    def _stand_in(self, lost: Pipeline, error: EngineLost) -> None:
        """Replace a lost engine by the best one on the CPU, which stays until the engine is set again.

        Here in the worker's thread, since no frame could be answered meanwhile.
        """
        model = self._model
        assert model is not None
        try:
            spare = Pipeline.open(model.path, AUTO, model.threads, _scaled(self._at_work), on_cpu())
            spare.warm_engine()
        except Exception as failure:  # the next frame tries again
            self._notes.add("engine", Level.ERROR, f"{error} No engine on the CPU can stand in: {failure}")
            return
        spare.choice = Choice(spare.choice.engine, ((lost.choice.engine, f"lost: {error}".rstrip(".")),))
        with self._swapping:
            if self._pipeline is not lost:
                return
            self._pipeline = spare
            self._lost = f"{error} {spare.engine.name} stands in for {lost.engine.name} until the engine is set again."
            if self._loader.loading is model:
                self._loader.cancel()
        self.get_logger().warning(self._lost)

    def _publish(self, camera: str, answer: Any) -> None:
        self._lanes[camera].publish(answer)

    # ---- parameters

    def _check_parameters(self, changes: Sequence[Any]) -> SetParametersResult:
        new = {change.name: parameters.plain(change.name, change.value) for change in changes}
        reason = self._refusal({name: value for name, value in new.items() if value != self._values.get(name)})
        return SetParametersResult(successful=reason is None, reason=reason or "")

    def _refusal(self, new: Mapping[str, Value]) -> str | None:
        """Why these values cannot be taken now, in a sentence."""
        rows = {name: row for name in new if (row := parameters.row_of(name)) is not None}
        for name, row in rows.items():
            if row.when == UNCONFIGURED and self._pipeline is not None:
                return (
                    f"{name} can be set only while the node is unconfigured; deactivate and clean up first, or give it "
                    "at start."
                )
        values = {**self._values, **new}
        reason = parameters.problem(values)
        if reason is not None or self._pipeline is None:
            return reason
        # Files are looked at only when they are what changes: others may be gone and no longer needed.
        try:
            if any(row.name == "ego_mask" for row in rows.values()):
                for camera in self._lanes:
                    CameraSettings.of(values, camera)
            model = ModelSettings.of(values)
            if model != self._model:
                require_metres(load_card(resolve(model.path)), _scaled(values))
            else:
                require_metres(self._pipeline.card, _scaled(values))
        except CloudyPointsError as error:
            return str(error)
        return None

    def _take_parameters(self, changes: Sequence[Any]) -> None:
        new = {c.name: parameters.plain(c.name, c.value) for c in changes if parameters.row_of(c.name) is not None}
        old, self._values = self._values, {**self._values, **new}
        values = self._values
        self._thresholds = Thresholds.of(values)
        if values["diagnostics.period"] != old["diagnostics.period"]:
            self._time_diagnostics()
        if self._pipeline is None:
            return
        model = ModelSettings.of(values)
        if model == self._model and not (self._lost and "engine" in new):
            if self._loader.loading not in (None, model):
                self._loader.cancel()
                self._build_better()
        elif model != self._loader.loading:
            self.get_logger().info(f"Loading the model {model.path or 'that comes along'} beside the one at work.")
            self._loader.start(model, _scaled(values))
        self._put_to_work()

    def _put_to_work(self) -> None:
        """The cameras follow the parameters, but metres stay those of the model at work until it is another."""
        lagging = self._at_work if ModelSettings.of(self._values) != self._model else {}
        kept = {name: value for name, value in lagging.items() if _goes_with_the_model(name)}
        self._at_work = {**self._values, **kept}
        for camera, lane in self._lanes.items():
            try:
                lane.change(CameraSettings.of(self._at_work, camera))
            except Exception as error:  # such as a mask that has gone; the node goes on with what it has
                self._notes.add("settings", Level.ERROR, f"Camera {camera} keeps its settings: {error}")

    def _build_better(self) -> None:
        """Begin to build what is better than the engine at work, if anything is."""
        pipeline, model = self._pipeline, self._model
        if pipeline is not None and model is not None and pipeline.choice.unbuilt:
            better = " or ".join(pipeline.choice.unbuilt)
            self.get_logger().info(f"Building {better}; {pipeline.engine.name} serves meanwhile.")
            self._loader.start(model, _scaled(self._values), pipeline.choice)

    def _swap(self) -> None:
        """Work on with the model that has been loaded, or say why not and take the change back."""
        loaded = self._loader.take()
        if loaded is None or self._pipeline is None or self._model is None:
            return
        if loaded.pipeline is not None:
            with self._swapping:
                self._pipeline, self._model, self._lost = loaded.pipeline, loaded.settings, ""
            self._model_failure = "none"
            self._put_to_work()
            self.get_logger().info(f"Model {loaded.pipeline.card.name} on {loaded.pipeline.engine.name} works now.")
            self.get_logger().info(f"Engine: {loaded.pipeline.choice}.")
            self._build_better()
            return
        self._model_failure = loaded.error
        if loaded.better is not None:
            self._pipeline.choice = self._pipeline.choice.without_unbuilt(loaded.error)
            self.get_logger().warning(f"{loaded.error} The engine {self._pipeline.engine.name} works on.")
            return
        self._notes.add(
            "model",
            Level.ERROR,
            f"{loaded.error} The model {self._pipeline.card.name} works on; model, engine, threads and scale are as "
            "they were.",
        )
        before = {name: value for name, value in self._at_work.items() if _goes_with_the_model(name)}
        changed = {name: value for name, value in before.items() if value != self._values.get(name)}
        result = self.set_parameters_atomically([Parameter(name, value=value) for name, value in changed.items()])
        if not result.successful:
            self.get_logger().error(f"The parameters of the model at work cannot be set again: {result.reason}")

    # ---- reports

    def _poll(self) -> None:
        for lane in self._lanes.values():
            lane.follow()
        self._swap()

    def _report(self) -> None:
        for name, lane in self._lanes.items():
            if (line := lane.stats.window().line) is not None:
                self.get_logger().info(f"{name}: {line}" if name else line)

    def _time_diagnostics(self) -> None:
        if self._diagnostics_timer is not None:
            self.destroy_timer(self._diagnostics_timer)
        period = parameters.number(self._values["diagnostics.period"])
        self._diagnostics_timer = self.create_timer(period, self._diagnose, clock=self._steady)

    def _diagnose(self) -> None:
        clock = "sim time" if self.get_clock().ros_time_is_active else "system time"
        statuses = [self._engine_status()]
        if self._pipeline is not None:
            statuses += [lane.status(self._thresholds, clock) for lane in self._lanes.values()]
        stamp = self.get_clock().now().to_msg()
        self._diagnostics_pub.publish(diagnostics.diagnostic_array(statuses, stamp, self.get_fully_qualified_name()))

    def _engine_status(self) -> Status:
        name = f"{self.get_fully_qualified_name().lstrip('/')}: engine"
        pipeline, model, loading = self._pipeline, self._model, self._loader.loading
        if pipeline is None or model is None:
            if self.failure is not None:
                return Status(name, Level.ERROR, str(self.failure))
            return Status(name, Level.STALE, "The node is not configured.")
        output = pipeline.card.output
        values = {
            "model": pipeline.card.name,
            "file": str(model.path or "embedded"),
            "licence": pipeline.card.licence,
            "engine": pipeline.engine.name,
            "engine choice": str(pipeline.choice),
            "precision": pipeline.engine.precision,
            "output": f"{output.quantity}, {output.unit}",
            "scale source": str(self._values["scale.source"]),
            "loading": "nothing" if loading is None else _loading(loading, pipeline, model),
            "last failure to load": self._model_failure,
            "state": "inactive" if self._workers is None else "active",
        }
        notes = self._notes.current()
        if notes:
            return Status(name, notes[0].level, notes[0].text, values)
        if self._lost:
            return Status(name, Level.WARN, self._lost, values)
        return Status(name, Level.OK, f"{pipeline.card.name} on {pipeline.engine.name}.", values)


def _start(node: DepthNode) -> None:
    """Configure and activate. CloudyPointsError when that fails: nobody else would try again."""
    if node.trigger_configure() != TransitionCallbackReturn.SUCCESS:
        raise node.failure or CloudyPointsError("The node could not be configured; its log says why.")
    if node.trigger_activate() != TransitionCallbackReturn.SUCCESS:
        raise CloudyPointsError("The node could not be activated; its log says why.")


def _cameras(values: Mapping[str, Value]) -> list[str]:
    cameras = values["cameras"]
    assert isinstance(cameras, tuple)
    return [str(camera) for camera in cameras]


def _loading(loading: ModelSettings, pipeline: Pipeline, model: ModelSettings) -> str:
    engine = f"{' or '.join(pipeline.choice.unbuilt)}, being built" if loading is model else loading.engine
    return f"{loading.path or 'embedded'} on {engine}"


def _goes_with_the_model(name: str) -> bool:
    row = parameters.row_of(name)
    return row is not None and row.name in ("model", "engine", "threads", "scale.source", "scale.constant")


def _scaled(values: Mapping[str, Value]) -> bool:
    """Whether metres come from elsewhere than the card."""
    return values["scale.source"] != "card"


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)


def _stats_file(text: str) -> Path | None:
    if not text:
        return None
    path = Path(text).expanduser()
    if not path.parent.is_dir() or not os.access(path.parent, os.W_OK):
        raise CloudyPointsError(
            f"The statistics file {path} cannot be written: its folder is missing or read-only. Set stats_file to a "
            "path in a folder that can be written."
        )
    return path


def main(argv: Sequence[str] | None = None) -> int:
    """Run the node until Ctrl-C or SIGTERM; the exit code: 0, or 2 for what the user can mend."""
    arguments = list(sys.argv if argv is None else ["depth_node", *argv])
    parser = argparse.ArgumentParser(
        prog="depth_node", description=__doc__, epilog="ROS arguments follow --ros-args: remappings, parameters."
    )
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    debug = "--debug" in arguments
    node: DepthNode | None = None
    initialised = False
    try:
        profile = dds.apply_profile()
        dds.keep_buffers()
        dds.check_log_directory()
        dds.check_domain()
        try:
            parser.parse_args(remove_ros_args(arguments)[1:])
            rclpy.init(args=arguments)
        except (RCLError, RCLInvalidROSArgsError, UnknownROSArgsError) as error:
            raise CloudyPointsError(
                f"ROS does not accept the arguments {' '.join(arguments[1:])} ({_first_line(error)}); give "
                "parameters as -p NAME:=VALUE, remappings as -r FROM:=TO, and a parameter file that exists."
            ) from error
        initialised = True
        node = DepthNode()
        node.get_logger().info(profile)
        if node.autostart:
            _start(node)
        rclpy.spin(node)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    except CloudyPointsError as error:
        if debug:
            traceback.print_exc()
        print(f"depth_node: {error}", file=sys.stderr)
        return 2
    except Exception as error:
        # Ctrl-C while the node is being made shuts the context under our feet.
        if not initialised or rclpy.ok():
            raise
        if debug:
            print(f"depth_node: stopped while starting ({error})", file=sys.stderr)
    finally:
        if node is not None:
            node.close()
            node.destroy_node()
        rclpy.try_shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
