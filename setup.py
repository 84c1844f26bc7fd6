"""The runtime package, for pip and for ament_python alike."""

from pathlib import Path

from setuptools import find_packages, setup

PACKAGE = "cloudypoints_ros"


def share(folder: str) -> tuple[str, list[str]]:
    files = sorted(str(path) for path in Path(folder).iterdir() if path.is_file())
    return f"share/{PACKAGE}/{folder}", files


setup(
    name=PACKAGE,
    version="0.1.0",
    description="Metric depth images and point clouds from calibrated cameras: a ROS 2 node",
    license="MIT",
    python_requires=">=3.10",
    package_dir={"": "src"},
    packages=find_packages("src", include=[PACKAGE, f"{PACKAGE}.*"]),
    package_data={PACKAGE: ["*.xml", "models/*", "clip/*", "clip/*/*"]},
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{PACKAGE}"]),
        (f"share/{PACKAGE}", ["package.xml"]),
        share("config"),
        share("launch"),
    ],
    zip_safe=False,
    # In a ROS workspace the distribution brings the rest, and apt's OpenCV has no pip metadata: a console
    # script that demanded it would not start there.
    install_requires=["setuptools"],
    extras_require={
        "standalone": [
            "numpy>=1.26",
            "opencv-python-headless>=4.8,<5",
            "numba>=0.60",
            "tbb; platform_machine == 'x86_64'",  # numba's thread pool that does not spin between frames
            "onnxruntime>=1.18",
            "PyYAML",
            "rich",
        ],
        "openvino": ["openvino>=2025.0"],
        "tensorrt-rtx": ["tensorrt-rtx>=1.2", "torch"],
        "demo": ["rosbags>=0.10.4", "matplotlib"],
        "jazzy": ["ros-jazzy-rclpy[fastrtps]==7.1.6", "ros-jazzy-common-interfaces==5.3.6"],
        "kilted": ["ros-kilted-rclpy[fastrtps]==9.1.2", "ros-kilted-common-interfaces==5.5.1"],
        "test": [
            "pytest",
            "pytest-timeout",
            "pytest-xdist",
            "hypothesis",
            "onnx",
            "openvino>=2025.0",
            "tensorrt-rtx>=1.2",
            "mcap-ros2-support",
            "rosbags-image",
            "mypy",
            "ruff",
            "types-PyYAML",
            "colcon-common-extensions",
        ],
    },
    entry_points={
        "console_scripts": [
            "cloudypoints = cloudypoints_ros.cli:main",
            "depth_node = cloudypoints_ros.run:depth_node",
        ]
    },
)
