"""A camera in a process of its own, with Fast DDS's own settings: WIDTH HEIGHT reliable|best_effort."""

import sys
import time

import rclpy
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, Image


def main() -> None:
    width, height = int(sys.argv[1]), int(sys.argv[2])
    reliability = {"reliable": ReliabilityPolicy.RELIABLE, "best_effort": ReliabilityPolicy.BEST_EFFORT}[sys.argv[3]]
    rclpy.init()
    node = rclpy.create_node("camera")
    images = node.create_publisher(Image, "image_raw", QoSProfile(depth=2, reliability=reliability))
    infos = node.create_publisher(CameraInfo, "camera_info", 2)
    image = Image(width=width, height=height, encoding="rgb8", step=3 * width)
    image.data.frombytes(bytes(3 * width * height))
    image.header.frame_id = "camera_process"
    info = CameraInfo(width=width, height=height)
    info.k = [float(width), 0.0, width / 2, 0.0, float(width), height / 2, 0.0, 0.0, 1.0]
    while True:
        image.header.stamp = info.header.stamp = node.get_clock().now().to_msg()
        infos.publish(info)
        images.publish(image)
        time.sleep(0.1)


main()
