"""Names of the settings that clouds take for a machine; Ray passes them on without a look.

EC2: the members of RunInstances (API 2016-11-15). Compute Engine: the fields of instances.insert (API v1).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Keys:
    """The names that a mapping, or each mapping of a list, may have; what lies below a name where that is known too."""

    names: frozenset[str]
    below: Mapping[str, "Keys"] = field(default_factory=dict)


def _keys(names: str, **below: Keys) -> Keys:
    return Keys(frozenset(names.split()) | frozenset(below), below)


EC2_NODE = _keys(
    """AdditionalInfo ClientToken CpuOptions CreditSpecification DisableApiStop DisableApiTermination DryRun EbsOptimized
    ElasticGpuSpecification ElasticInferenceAccelerators EnablePrimaryIpv6 EnclaveOptions HibernationOptions ImageId
    InstanceInitiatedShutdownBehavior InstanceType Ipv6AddressCount Ipv6Addresses KernelId KeyName LicenseSpecifications
    MaintenanceOptions MaxCount MinCount Monitoring NetworkPerformanceOptions Operator PrivateDnsNameOptions
    PrivateIpAddress RamdiskId SecondaryInterfaces SecurityGroupIds SecurityGroups SubnetId SubnetIds UserData""",
    BlockDeviceMappings=_keys(
        "DeviceName NoDevice VirtualName",
        Ebs=_keys(
            """AvailabilityZone AvailabilityZoneId DeleteOnTermination EbsCardIndex Encrypted Iops KmsKeyId OutpostArn
            SnapshotId Throughput VolumeInitializationRate VolumeSize VolumeType"""
        ),
    ),
    CapacityReservationSpecification=_keys("CapacityReservationPreference CapacityReservationTarget"),
    IamInstanceProfile=_keys("Arn Name"),
    InstanceMarketOptions=_keys(
        "MarketType",
        SpotOptions=_keys("BlockDurationMinutes InstanceInterruptionBehavior MaxPrice SpotInstanceType ValidUntil"),
    ),
    LaunchTemplate=_keys("LaunchTemplateId LaunchTemplateName Version"),
    MetadataOptions=_keys("HttpEndpoint HttpProtocolIpv6 HttpPutResponseHopLimit HttpTokens InstanceMetadataTags"),
    NetworkInterfaces=_keys(
        """AssociateCarrierIpAddress AssociatePublicIpAddress ConnectionTrackingSpecification DeleteOnTermination
        Description DeviceIndex EnaQueueCount EnaSrdSpecification Groups InterfaceType Ipv4PrefixCount Ipv4Prefixes
        Ipv6AddressCount Ipv6Addresses Ipv6PrefixCount Ipv6Prefixes NetworkCardIndex NetworkInterfaceId PrimaryIpv6
        PrivateIpAddress PrivateIpAddresses SecondaryPrivateIpAddressCount SubnetId"""
    ),
    Placement=_keys(
        """Affinity AvailabilityZone AvailabilityZoneId GroupId GroupName HostId HostResourceGroupArn PartitionNumber
        SpreadDomain Tenancy"""
    ),
    TagSpecifications=_keys("ResourceType", Tags=_keys("Key Value")),
)
"""SubnetIds is the launcher's own: it picks one of them."""

GCE_NODE = _keys(
    """advancedMachineFeatures canIpForward confidentialInstanceConfig deletionProtection description displayDevice hostname
    instanceEncryptionKey keyRevocationActionType kind labels machineType minCpuPlatform name networkPerformanceConfig
    params partnerMetadata privateIpv6GoogleAccess reservationAffinity resourcePolicies shieldedInstanceConfig
    shieldedInstanceIntegrityPolicy sourceInstanceTemplate sourceMachineImage sourceMachineImageEncryptionKey
    workloadIdentityConfig zone acceleratorType acceleratorConfig runtimeVersion networkConfig schedulingConfig
    serviceAccount""",
    disks=_keys(
        """architecture autoDelete boot deviceName diskEncryptionKey diskSizeGb forceAttach guestOsFeatures index interface
        kind licenses mode savedState shieldedInstanceInitialState source type""",
        initializeParams=_keys(
            """architecture description diskName diskSizeGb diskType enableConfidentialCompute labels licenses onUpdateAction
            provisionedIops provisionedThroughput replicaZones resourceManagerTags resourcePolicies sourceImage
            sourceImageEncryptionKey sourceSnapshot sourceSnapshotEncryptionKey storagePool"""
        ),
    ),
    guestAccelerators=_keys("acceleratorCount acceleratorType"),
    metadata=_keys("fingerprint kind", items=_keys("key value")),
    networkInterfaces=_keys(
        """accessConfigs aliasIpRanges fingerprint igmpQuery internalIpv6PrefixLength ipv6AccessConfigs ipv6AccessType
        ipv6Address kind name network networkAttachment networkIP nicType parentNicName queueCount stackType subnetwork
        vlan"""
    ),
    scheduling=_keys(
        """automaticRestart availabilityDomain gracefulShutdown hostErrorTimeoutSeconds instanceTerminationAction
        localSsdRecoveryTimeout locationHint maxRunDuration minNodeCpus nodeAffinities onHostMaintenance
        onInstanceStopAction preemptible preemptionNoticeDuration provisioningModel skipGuestOsShutdown terminationTime"""
    ),
    serviceAccounts=_keys("email scopes"),
    tags=_keys("fingerprint items"),
)
"""acceleratorType to networkConfig and what follows them are of TPU nodes; sourceInstanceTemplate is the launcher's own."""

_ANY_PROVIDER = (
    "type module disable_node_updaters disable_launch_config_check foreground_node_launch worker_liveness_check"
)
PROVIDER = {
    "aws": _keys(
        f"{_ANY_PROVIDER} region availability_zone cache_stopped_nodes use_internal_ips aws_credentials cloudwatch",
        security_group=_keys(
            "GroupName",
            IpPermissions=_keys("FromPort IpProtocol IpRanges Ipv6Ranges PrefixListIds ToPort UserIdGroupPairs"),
        ),
    ),
    "gcp": _keys(
        f"{_ANY_PROVIDER} region availability_zone project_id use_internal_ips",
        gcp_credentials=_keys("type credentials"),
    ),
    "local": _keys(
        f"{_ANY_PROVIDER} head_ip worker_ips coordinator_address external_head_ip use_external_head_ip use_internal_ips"
    ),
}
"""What Ray reads of `provider`; its schema lets anything else pass unread."""

NODE = {"aws": EC2_NODE, "gcp": GCE_NODE}
