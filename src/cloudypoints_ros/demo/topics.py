"""The names everybody in the demo agrees on."""

FRAME_ID = "camera_optical_frame"

IMAGE_TOPIC = "/camera/image_raw"
INFO_TOPIC = "/camera/camera_info"
DEPTH_TOPIC = "/cloudypoints/depth/image_raw"
DEPTH_INFO_TOPIC = "/cloudypoints/depth/camera_info"
POINTS_TOPIC = "/cloudypoints/points"

# Only in the bag: the image as JPEG, and the measured depth where there is one.
JPEG_TOPIC = f"{IMAGE_TOPIC}/compressed"
TRUTH_TOPIC = "/camera/depth_truth"
