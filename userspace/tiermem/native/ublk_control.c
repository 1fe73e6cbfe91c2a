// SPDX-License-Identifier: GPL-2.0-or-later
#include "ublk_control.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "channel_wait.h"
#include "storage_ring.h"
#include "ublk_abi.h"

enum {
	NS_A_MS = 1000000,
	SECTOR_SHIFT = 9,
	ZEROES_BYTES_MAX = 1 << 30,	/* of a discard or write zeroes: as large as may be */
	ANY_QUEUE = UINT16_MAX,
};

/* In the part of a device's description that is its server's: "tm" above its owner. */
static const uint64_t OURS = 0x6d74ULL << UBLK_OWNER_BITS;
static const uint64_t OWNER = (1ULL << UBLK_OWNER_BITS) - 1;

static const uint64_t NEEDED = UBLK_F_USER_RECOVERY | UBLK_F_USER_RECOVERY_REISSUE |
			       UBLK_F_CMD_IOCTL_ENCODE | UBLK_F_USER_COPY;

/* --- a command --- */

static int wait_for_result(struct storage_ring *ring, int has_limit)
{
	const uint64_t limit_ns = (uint64_t)UBLK_CONTROL_LIMIT_MS * NS_A_MS;
	const uint64_t begin_ns = channel_now_ns();
	uint64_t unused;
	int32_t result;

	while (!storage_ring_take(ring, &unused, &result)) {
		if (has_limit && channel_now_ns() - begin_ns >= limit_ns)
			return -ETIMEDOUT;
		storage_ring_enter(ring, limit_ns);
	}
	return result;
}

static int control(int control_fd, uint32_t operation, struct ublksrv_ctrl_cmd command)
{
	struct storage_ring ring;
	struct io_uring_sqe *sqe;
	int result;

	/* Its commands do not fit an entry. */
	result = storage_ring_open(&ring, 1, 2, IORING_SETUP_SQE128);
	if (result)
		return result;
	sqe = storage_ring_next(&ring);
	sqe->opcode = IORING_OP_URING_CMD;
	sqe->fd = control_fd;
	sqe->cmd_op = operation;
	command.queue_id = ANY_QUEUE;
	memcpy((uint8_t *)sqe + offsetof(struct io_uring_sqe, cmd), &command, sizeof(command));
	/* Where the kernel has to fill something in, that must not go away. */
	result = wait_for_result(&ring, !command.addr);
	storage_ring_close(&ring);
	return result;
}

static int control_with(int control_fd, uint32_t operation, uint32_t number, void *data,
			size_t bytes)
{
	return control(control_fd, operation, (struct ublksrv_ctrl_cmd){
		.dev_id = number, .addr = (uint64_t)(uintptr_t)data, .len = (uint16_t)bytes,
	});
}

/* --- devices --- */

static int set_parameters(int control_fd, const struct ublk_device *device)
{
	const uint8_t block_shift = (uint8_t)__builtin_ctz(device->block_bytes);
	struct ublk_params params = {
		.len = sizeof(params),
		.types = UBLK_PARAM_TYPE_BASIC | UBLK_PARAM_TYPE_DISCARD,
		.basic = {
			.attrs = (device->is_read_only ? UBLK_ATTR_READ_ONLY : 0) |
				 (device->has_cache ? UBLK_ATTR_VOLATILE_CACHE | UBLK_ATTR_FUA : 0),
			.logical_bs_shift = block_shift,
			.physical_bs_shift = block_shift,
			.io_min_shift = block_shift,
			.io_opt_shift = block_shift,
			.max_sectors = device->request_bytes_max >> SECTOR_SHIFT,
			.dev_sectors = device->bytes >> SECTOR_SHIFT,
		},
		.discard = {
			.discard_granularity = device->block_bytes,
			.max_discard_sectors = ZEROES_BYTES_MAX >> SECTOR_SHIFT,
			.max_write_zeroes_sectors = ZEROES_BYTES_MAX >> SECTOR_SHIFT,
			.max_discard_segments = 1,
		},
	};

	return control_with(control_fd, UBLK_U_CMD_SET_PARAMS, device->number, &params,
			    sizeof(params));
}

int ublk_add(int control_fd, struct ublk_device *device)
{
	struct ublksrv_ctrl_dev_info info = {
		.nr_hw_queues = 1,
		.queue_depth = (uint16_t)device->depth,
		.max_io_buf_bytes = device->request_bytes_max,
		.dev_id = UINT32_MAX,	/* a free one */
		.flags = NEEDED,
		.ublksrv_flags = OURS | (device->owner & OWNER),
	};
	int error = control_with(control_fd, UBLK_U_CMD_ADD_DEV, info.dev_id, &info, sizeof(info));

	if (error)
		return error;
	device->number = info.dev_id;
	error = (info.flags & NEEDED) == NEEDED ? set_parameters(control_fd, device) : -EOPNOTSUPP;
	if (error)
		ublk_delete(control_fd, device->number);
	return error;
}

int ublk_find(int control_fd, uint32_t number, struct ublk_device *device)
{
	struct ublksrv_ctrl_dev_info info = { 0 };
	struct ublk_params params = { .len = sizeof(params) };
	int error = control_with(control_fd, UBLK_U_CMD_GET_DEV_INFO, number, &info, sizeof(info));

	if (!error)
		error = control_with(control_fd, UBLK_U_CMD_GET_PARAMS, number, &params,
				     sizeof(params));
	if (error)
		return error;
	*device = (struct ublk_device){
		.number = number,
		.depth = info.queue_depth,
		.block_bytes = 1u << params.basic.logical_bs_shift,
		.request_bytes_max = params.basic.max_sectors << SECTOR_SHIFT,
		.bytes = params.basic.dev_sectors << SECTOR_SHIFT,
		.is_read_only = !!(params.basic.attrs & UBLK_ATTR_READ_ONLY),
		.has_cache = !!(params.basic.attrs & UBLK_ATTR_VOLATILE_CACHE),
		.owner = info.ublksrv_flags & OWNER,
		.is_ours = (info.ublksrv_flags & ~OWNER) == OURS && (info.flags & NEEDED) == NEEDED,
		.is_without_server = info.state == UBLK_S_DEV_QUIESCED,
		.is_stopped = info.state == UBLK_S_DEV_DEAD,
	};
	return 0;
}

int ublk_start(int control_fd, uint32_t number, int32_t pid)
{
	return control(control_fd, UBLK_U_CMD_START_DEV, (struct ublksrv_ctrl_cmd){
		.dev_id = number, .data = { (uint64_t)pid },
	});
}

int ublk_stop(int control_fd, uint32_t number)
{
	return control(control_fd, UBLK_U_CMD_STOP_DEV, (struct ublksrv_ctrl_cmd){
		.dev_id = number,
	});
}

int ublk_delete(int control_fd, uint32_t number)
{
	/* One that waits for the last user would wait for a file system to be unmounted. */
	return control(control_fd, UBLK_U_CMD_DEL_DEV_ASYNC, (struct ublksrv_ctrl_cmd){
		.dev_id = number,
	});
}

/* --- recovery --- */

int ublk_begin_recovery(int control_fd, uint32_t number)
{
	return control(control_fd, UBLK_U_CMD_START_USER_RECOVERY, (struct ublksrv_ctrl_cmd){
		.dev_id = number,
	});
}

int ublk_end_recovery(int control_fd, uint32_t number, int32_t pid)
{
	return control(control_fd, UBLK_U_CMD_END_USER_RECOVERY, (struct ublksrv_ctrl_cmd){
		.dev_id = number, .data = { (uint64_t)pid },
	});
}
