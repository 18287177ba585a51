using Firn.Linux.Abi;

namespace Firn.Engine.Kinds.Namespaces.Mounts;

/// <summary>One step of making a mount tree. A tree that is mounted nowhere yet is named by a handle: a number within the plan.</summary>
internal abstract record MountStep;

/// <summary>Makes a file system of its own.</summary>
/// <param name="Handle">Its handle.</param>
/// <param name="Type">The type.</param>
/// <param name="Source">What is said to be mounted.</param>
/// <param name="Options">Options of the type.</param>
/// <param name="Flags">What concerns all types alike.</param>
/// <param name="Attributes">Attributes that the kernel may insist on from the start, in a user namespace.</param>
/// <param name="Device">The number by which the images know it.</param>
/// <param name="MountIds">The mounts of it, by their ids in the images.</param>
internal sealed record MakeFileSystem(
    int Handle, string Type, string Source, string Options, MountFlags Flags, MountAttributes Attributes, uint Device,
    IReadOnlyList<uint> MountIds) : MountStep;

/// <summary>Takes what lies outside.</summary>
/// <param name="Handle">Its handle.</param>
/// <param name="Path">Where it lies.</param>
/// <param name="Group">A handle for another copy, which stays in the group of what lies there; -1 for none.</param>
/// <param name="MountPoint">Where it is to be mounted, for errors.</param>
/// <param name="Hidden">Set if it lies there under other mounts: what it shows, and the type of its file system.</param>
internal sealed record TakeOutside(int Handle, string Path, int Group, string MountPoint, (string Root, string Type)? Hidden = null)
    : MountStep;

/// <summary>Copies a tree, or a part of it: a bind mount.</summary>
internal sealed record CopyTree(int From, string Path, int To) : MountStep;

/// <summary>Opens terminals of a devpts, so that those with these indexes are there to be mounted; they stay open.</summary>
internal sealed record OpenTerminals(int DevPts, SortedSet<int> Indexes) : MountStep;

/// <summary>Sets the attributes of a mount: these, and no others.</summary>
internal sealed record SetAttributes(int Mount, MountAttributes Attributes) : MountStep;

/// <summary>Mounts a tree on another: on its root, if the path is empty.</summary>
internal sealed record Attach(int Mount, int Parent, string Path) : MountStep;

/// <summary>Mounts a tree over the old root.</summary>
internal sealed record MountRoot(int Mount) : MountStep;

/// <summary>Makes what was mounted over the old root the only one.</summary>
internal sealed record EnterRoot(int Mount) : MountStep;

/// <summary>Makes a mount a member of the group of another, and a slave of that one's master.</summary>
/// <param name="Mount">The mount, private so far.</param>
/// <param name="From">The other.</param>
/// <param name="MayFail">Whether it stays private, if the other is.</param>
internal sealed record JoinGroup(int Mount, int From, bool MayFail) : MountStep;

/// <summary>Changes the propagation of a mount: shared, slave of the group that it was in, unbindable.</summary>
internal sealed record SetPropagation(int Mount, MountFlags Propagation) : MountStep;

/// <summary>Leaves the namespace for a new one, which is a copy of it, and private.</summary>
internal sealed record NewNamespace : MountStep;

/// <summary>Opens the namespace that the task is in.</summary>
/// <param name="Handle">Its handle.</param>
/// <param name="Proc">A proc file system.</param>
internal sealed record OpenNamespace(int Handle, int Proc) : MountStep;

/// <summary>Goes to another namespace.</summary>
internal sealed record JoinNamespace(int Namespace) : MountStep;
